"""Credit sources, on cases worked by hand: those that compare the samples of a problem, those that read a model."""

import copy
from pathlib import Path

import pytest
import torch

from models import policy, tiny
from tasks.credit import (
    CreditOptions,
    Request,
    contrast,
    critical,
    edits,
    grm,
    group,
    log_ratio,
    prefix_tree,
    prime,
    rto,
    smooth_group,
    surprisal,
)
from tasks.errors import UserError
from tasks.parts import NoOptions
from tasks.prompts import solve_prompt
from tasks.records import table, write_table

CPU = torch.device("cpu")


def asked(source, inputs, rows, problems, **options):
    """The rewards that a credit source gives each of the rows."""
    own = getattr(source, "Options", NoOptions)(**options)
    given = source.credit(own, Request(inputs, rows, problems, 2, CPU))
    return [credit.rewards for credit in sorted(given, key=lambda credit: credit.row)]


@pytest.fixture
def credits_of(tmp_path):
    """The rewards that a credit source gives the samples (problem, token ids, right or wrong) from `first` on."""

    def give(source, samples, first=0, **options) -> list[list[float]]:
        rows = [
            {"sample_id": str(number), "problem_id": problem, "prompt_ids": [1], "completion_ids": ids,
             "completion": "", "finish_reason": "stop", "extracted_answer": None, "is_right": is_right}
            for number, (problem, ids, is_right) in enumerate(samples)
        ]  # fmt: skip
        path = Path(tmp_path, "samples.parquet")
        write_table(table("samples", rows), "samples", path)
        return asked(source, {"samples": path}, rows[first:], {}, **options)

    return give


A, B, C, D = 11, 12, 13, 14


def test_every_token_earns_how_much_better_the_sample_did_than_its_problems_samples(credits_of):
    # Of four one is right: mean 0.25, std √((0.75² + 3 · 0.25²) / 3) = 0.5. Right: 0.75 / 0.5, wrong: −0.25 / 0.5.
    samples = [("p", [A, B], True), ("p", [A], False), ("p", [B], False), ("p", [C], False)]
    rewards = credits_of(group, samples)
    assert rewards[0] == pytest.approx([1.5, 1.5], rel=1e-3)
    assert rewards[1:] == [pytest.approx([-0.5], rel=1e-3)] * 3


@pytest.mark.parametrize("source", [group, prefix_tree])
@pytest.mark.parametrize("is_right", [True, False])
def test_a_problem_whose_samples_did_alike_gives_no_credit(credits_of, source, is_right):
    assert credits_of(source, [("p", [A, B], is_right), ("p", [A, C], is_right)]) == [[0.0, 0.0]] * 2
    assert credits_of(source, [("p", [A], is_right)]) == [[0.0]]


@pytest.mark.parametrize("source", [group, prefix_tree])
def test_a_problems_samples_are_compared_whichever_shard_they_stand_in(credits_of, source):
    samples = [("p", [A, B], True), ("q", [A], True), ("p", [A, C], False), ("q", [B], False)]
    whole = credits_of(source, samples)
    assert credits_of(source, samples, first=2) == whole[2:]
    assert whole[2] != [0.0, 0.0]


def test_where_two_samples_part_a_token_earns_what_it_changed(credits_of):
    """The worked example of tasks/credit/prefix_tree.py."""
    rewards = credits_of(prefix_tree, [("p", [A, B], True), ("p", [A, C], False)])
    assert rewards[0] == pytest.approx([0.7071, 1.4142], rel=1e-3)
    assert rewards[1] == pytest.approx([-0.7071, -1.4142], rel=1e-3)


def test_a_token_after_the_last_parting_earns_what_grpo_gives_it(credits_of):
    """A B C and A B D are right, A D and B wrong: mean 0.5, std √(4 · 0.25 / 3) = 0.5774."""
    samples = [("p", [A, B, C], True), ("p", [A, B, D], True), ("p", [A, D], False), ("p", [B], False)]
    first, _, third, fourth = credits_of(prefix_tree, samples)
    # V(∅) = 2/4, V(A) = 2/3, V(A B) = V(A B C) = 1: the steps are 1/6, 1/3 and 0.
    assert first == pytest.approx([(0.5 + 1 / 6) / 0.5774, (0.5 + 1 / 3) / 0.5774, 0.5 / 0.5774], rel=1e-3)
    # V(A D) = 0 after V(A) = 2/3; V(B) = 0 after 1/2.
    assert third == pytest.approx([(-0.5 + 1 / 6) / 0.5774, (-0.5 - 2 / 3) / 0.5774], rel=1e-3)
    assert fourth == pytest.approx([(-0.5 - 0.5) / 0.5774], rel=1e-3)


def test_dcpos_steps_smooth_the_advantage(credits_of):
    """The worked example of tasks/credit/smooth_group.py."""
    samples = [("p", [A], True), ("p", [B], False), ("p", [C], True), ("p", [D], True)]
    rewards = [credit[0] for credit in credits_of(smooth_group, samples, steps=2)]
    assert rewards == pytest.approx([0.7071, -0.7071, 0.25, 0.25], rel=1e-3)


def test_a_step_that_differs_from_the_rest_counts_the_less(credits_of):
    # right, right | right, wrong. The second: mean 0.5, std 0.7071, A_new = ±0.7071; all four: mean 0.75, std 0.5,
    # A_total = 0.5 and −1.5. i = 2: both blends are the mean, 0.6036 and −1.1036.
    samples = [("p", [A], True), ("p", [B], True), ("p", [C], True), ("p", [D], False)]
    rewards = [credit[0] for credit in credits_of(smooth_group, samples, steps=2)]
    assert rewards == pytest.approx([0, 0, 0.6036, -1.1036], rel=1e-3)


def test_in_one_step_dcpos_advantage_is_grpos(credits_of):
    samples = [("p", [A, B], True), ("p", [A], False), ("p", [B], False)]
    assert credits_of(smooth_group, samples, steps=1) == credits_of(group, samples)


def test_of_three_steps_the_smaller_blend_counts():
    # Two samples a step: outcomes 1 0 | 1 0 | 1 1. In step 3: A_new = 0; among all six, mean 4/6 and std 0.5164, so
    # A_total = 0.6455. B_new = 2/3 · 0 + 1/3 · 0.6455 = 0.2152, B_total = 2/3 · 0.6455 = 0.4303.
    assert smooth_group.smoothed([1, 0, 1, 0, 1, 1], 3)[4:] == pytest.approx([0.2152] * 2, rel=1e-3)


@pytest.fixture
def ratios(monkeypatch):
    """Sets the log-ratios that a credit model is to give, sample by sample."""

    def set_to(source, *values):
        monkeypatch.setattr(source, "log_ratios", lambda *_: [torch.tensor(one) for one in values])

    return set_to


def test_rto_adds_up_what_is_still_to_come(credits_of, ratios):
    """The worked example of tasks/credit/rto.py: 0.05 · 0.4 = 0.02, 0.05 · (−2) = −0.1 is held at −0.05."""
    ratios(rto, [0.4, -2.0], [-0.6])
    right, wrong = credits_of(rto, [("p", [A, B], True), ("p", [C], False)])
    assert right == pytest.approx([0.5, 0.48])
    assert wrong == pytest.approx([-0.5])


def test_primes_baselines_leave_the_sample_out(credits_of, ratios):
    """The worked example of tasks/credit/prime.py: 0.05 · 6 = 0.3, 0.05 · 2 = 0.1, 0.05 · (−8) = −0.4."""
    ratios(prime, [6.0, 2.0], [-8.0])
    right, wrong = credits_of(prime, [("p", [A, B], True), ("p", [C], False)])
    assert right == pytest.approx([2.2, 1.5])
    assert wrong == pytest.approx([-1.6])


def test_a_problems_only_sample_earns_nothing_by_prime(credits_of, ratios):
    ratios(prime, [6.0, 2.0])
    assert credits_of(prime, [("p", [A, B], True)]) == [[0.0, 0.0]]


@pytest.fixture
def folders(model, tokenizer, policy_folder, tmp_path):
    """The policy and two models that differ from it, as folders by input."""
    found = {"policy": policy_folder}
    for number, name in enumerate(("credit_model", "right_model", "wrong_model"), start=1):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for weights in other.parameters():
                weights.add_(0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(number)))
        policy.save(other, tokenizer, tmp_path / name)
        found[name] = tmp_path / name
    return found


PROBLEM = {"problem_id": "p", "question": "How many apples?", "options": None}


def sample_row(tokenizer, text, is_right=False):
    ids = tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]
    prompt = solve_prompt(tokenizer, PROBLEM["question"], None)
    return {"sample_id": text, "problem_id": "p", "prompt_ids": prompt, "completion_ids": ids, "is_right": is_right}


def logprobs_under(folder, prompt, ids):
    """(n, vocabulary): log p of every token at each place of a completion, from one plain forward pass."""
    model, _ = policy.load(folder, CPU)
    with torch.no_grad():
        logits = model.eval()(torch.tensor([[*prompt, *ids]])).logits[0]
    return logits[len(prompt) - 1 : -1].log_softmax(-1)


def given_by(source, folders, rows):
    return asked(source, folders, rows, {"p": PROBLEM})


def test_a_tuned_model_credits_what_it_finds_likelier_than_the_policy(folders, tokenizer):
    rows = [sample_row(tokenizer, text) for text in ("12+5=17", "17", "Tom has 12 apples.")]
    for row, rewards in zip(rows, given_by(log_ratio, folders, rows), strict=True):
        ids = row["completion_ids"]
        ours, theirs = (logprobs_under(folders[name], row["prompt_ids"], ids) for name in ("credit_model", "policy"))
        expected = [float(ours[place, token] - theirs[place, token]) for place, token in enumerate(ids)]
        assert rewards == pytest.approx(expected, abs=1e-4)


def test_the_contrast_is_that_of_a_right_and_a_wrong_prompt(folders, tokenizer):
    (row,) = rows = [sample_row(tokenizer, "12+5=17")]
    (rewards,) = given_by(contrast, folders, rows)
    right, wrong = (
        logprobs_under(
            folders["policy"], solve_prompt(tokenizer, PROBLEM["question"], None, verdict), row["completion_ids"]
        )
        for verdict in (True, False)
    )
    first = row["completion_ids"][0]
    assert rewards[0] == pytest.approx(1 / (1 + float((wrong - right)[0, first].exp())) - 0.5, abs=1e-5)
    assert all(-0.5 < reward < 0.5 for reward in rewards)


def test_critical_tokens_are_those_of_the_wrong_samples_model(folders, tokenizer):
    rows = [sample_row(tokenizer, text) for text in ("12+5=17", "17")]
    for row, rewards in zip(rows, given_by(critical, folders, rows), strict=True):
        ids = row["completion_ids"]
        right, wrong = (
            logprobs_under(folders[name], row["prompt_ids"], ids) for name in ("right_model", "wrong_model")
        )
        contrasted = (2 * right - wrong).softmax(-1)
        assert rewards == pytest.approx([float(contrasted[place, token]) for place, token in enumerate(ids)], abs=1e-5)


def test_the_policys_own_doubt_is_rewarded_as_the_grms(folders, tokenizer):
    (row,) = rows = [sample_row(tokenizer, "12+5=17")]
    (rewards,) = given_by(surprisal, folders, rows)
    likely = logprobs_under(folders["policy"], row["prompt_ids"], row["completion_ids"]).exp()
    expected = [
        max(-0.1, min(0.0, float(likely[place, token]) - 0.5)) for place, token in enumerate(row["completion_ids"])
    ]
    assert rewards == pytest.approx(expected, abs=1e-5)


def test_only_what_the_rewrite_changed_costs_by_edits(tmp_path):
    marks = [False, True, False]
    row = {"sample_id": "s", "kinds": ["replace"], "source_positions": [1], "target_positions": [1]}
    frame = table("edits", [{**row, "sample_edited": marks, "rewrite_edited": marks}])
    write_table(frame, "edits", tmp_path / "edits.parquet")
    rows = [{"sample_id": "s", "completion_ids": [A, B, C]}, {"sample_id": "none", "completion_ids": [A]}]
    assert given_by(edits, {"edits": tmp_path / "edits.parquet"}, rows) == [[0.0, -1.0, 0.0], [0.0]]


def test_after_the_first_error_of_a_wrong_sample_there_may_be_no_reward():
    logprobs = torch.tensor([0.9, 0.45, 0.8, 0.1]).log()
    every, first = (
        grm.rewarded(grm.Options(after_first_error=after), 0, logprobs, False).rewards for after in (True, False)
    )
    assert every == pytest.approx([0, -0.05, 0, -0.1])  # clip(p − 0.5, −0.1, 0)
    assert first == pytest.approx([0, -0.05, 0, 0])
    right = grm.rewarded(grm.Options(after_first_error=False), 0, logprobs, True).rewards
    assert right == pytest.approx([0.4, 0, 0.3, 0])  # a right sample has no error


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [(log_ratio, "credit_model", "the credit model"), (critical, "wrong_model", "the wrong model"),
     (grm, "reward_model", "the reward model")],
)  # fmt: skip
def test_a_model_of_another_tokenizer_is_refused_by_name(source, name, words, folders, tokenizer, tmp_path):
    other = tiny.train_tokenizer(["Other words altogether: zebra, quartz and fjord."] * 3, 300)
    policy.save(tiny.new_llama(other, layers=1, width=16, heads=2, feed_forward=32, seed=0), other, tmp_path / "other")
    with pytest.raises(UserError, match=f"{words} and the policy have different tokenizers"):
        asked(source, {**folders, name: tmp_path / "other"}, [sample_row(tokenizer, "12")], {"p": PROBLEM})


OWN = """
from tasks.credit import TokenCredit

def credit(options, request):
    yield from {given}
"""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[TokenCredit(1, [0.0]), TokenCredit(1, [0.0, 0.0])]", "gave 2 rows, 1 of them different"),
        ("[TokenCredit(0, [0.0, 0.0])]", "each of 2 samples needs credit once, and it gave 1 rows"),
        (
            "[TokenCredit(0, [0.0]), TokenCredit(1, [0.0])]",
            "sample a: 2 tokens need as many finite rewards, and it gave 1",
        ),
        (
            "[TokenCredit(0, [0.0, float('nan')]), TokenCredit(1, [0.0])]",
            "sample a: 2 tokens need as many finite rewards",
        ),
        ("[TokenCredit(0, [0, 0], [0.5]), TokenCredit(1, [0.0])]", "2 tokens need as many finite probabilities"),
    ],
)
def test_a_source_of_the_users_that_does_not_credit_every_token_once_is_named(tmp_path, given, message):
    path = tmp_path / "mine.py"
    path.write_text(OWN.replace("{given}", given))
    samples = [{"sample_id": "a", "completion_ids": [5, 6]}, {"sample_id": "b", "completion_ids": [7]}]
    with pytest.raises(UserError, match=f"credit source .*mine.py.*{message}"):
        CreditOptions(credit=str(path)).give({}, samples, {}, CPU)
