"""What each sample teaches the policy under each recipe."""

import pytest
import torch

from flows.config import load_config
from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks.errors import UserError
from tasks.lessons import Lessons
from tasks.pair import PairOptions, pair
from tasks.prompts import solution_completion
from tasks.records import ById, read_table, table, write_table
from tasks.train_policy import TrainPolicyOptions

RLMEC = TrainPolicyOptions()


def lessons_of(recipe, taught, tokenizer):
    options = load_config("smoke", recipe).train_policy
    return Lessons(options, taught, tokenizer)


def test_a_wrong_sample_without_an_accepted_rewrite_keeps_its_rewards_and_imitates_nothing(run, tokenizer):
    """The authors drop it; and right or wrong comes from the verifier, never from what the GRM located."""
    empty = run.root / "no_rewrites.parquet"
    write_table(table("rewrites", []), "rewrites", empty)
    edits = run.root / "no_edits.parquet"
    write_table(table("edits", []), "edits", edits)
    inputs = {
        "samples": run.paths["samples"],
        "token_rewards": run.paths["token_rewards"],
        "rewrites": empty,
        "edits": edits,
    }
    lessons = Lessons(RLMEC, inputs, tokenizer)
    assert (len(lessons.right), len(lessons.wrong), lessons.unimitated, lessons.rewritten) == (2, 4, [], 0)
    for (example,) in map(lessons.examples, lessons.wrong):
        assert "weight" not in example.scores
        assert any(reward < 0 for reward in example.scores["reward"])
    for (example,) in map(lessons.examples, lessons.right):
        assert set(example.scores["weight"]) == {0.5}
        assert all(reward >= 0 for reward in example.scores["reward"])


def test_an_accepted_rewrite_is_imitated_with_one_on_edits_and_one_half_elsewhere(run, tokenizer):
    from tasks.align import AlignOptions, align

    edits = run.root / "teacher_edits"
    edits.mkdir()
    align(AlignOptions(), {"samples": run.paths["samples"], "rewrites": run.paths["teacher_rewrites"]}, edits)
    inputs = {"samples": run.paths["samples"], "token_rewards": run.paths["token_rewards"],
              "rewrites": run.paths["teacher_rewrites"], "edits": edits / "edits.parquet"}  # fmt: skip
    lessons = Lessons(RLMEC, inputs, tokenizer)
    sampled, rewritten = lessons.examples(lessons.wrong[0])
    edited = [
        tokenizer.decode([token])
        for token, w in zip(rewritten.completion_ids, rewritten.scores["weight"], strict=True)
        if w == 1.0
    ]
    # 12+5=18 → 12+5=17 and "The answer is 18." → "… 17.": one digit each.
    assert edited == ["7", "7"]
    assert set(rewritten.scores["weight"]) == {0.5, 1.0}
    assert sampled.prompt_ids == rewritten.prompt_ids


def test_a_pair_holds_the_sample_and_its_rewrite_with_the_reference_policys_logprobs(taught, tokenizer):
    lessons = lessons_of("dpo", taught, tokenizer)
    assert (lessons.right, len(lessons.wrong), lessons.paired) == ([], 4, 4)  # a right sample has no pair
    model, _ = policy.load(taught["policy"])
    sampled, rewritten = lessons.examples(lessons.wrong[0])
    assert (sampled.is_sample, rewritten.is_sample, sampled.pair == rewritten.pair) == (True, False, True)
    for example in (sampled, rewritten):
        ((_, values),) = completion_logprobs(model, [Example(example.prompt_ids, example.completion_ids)])
        assert example.reference_logprobs == pytest.approx(values.tolist(), abs=1e-4)
        assert example.scores == {}


def test_in_hindsight_every_prompt_says_whether_the_solution_is_right(taught, tokenizer):
    lessons = lessons_of("coh", taught, tokenizer)
    sampled, rewritten = lessons.examples(lessons.wrong[0])
    (own,) = lessons.examples(lessons.right[0])
    ends = [tokenizer.decode(example.prompt_ids).splitlines()[-1] for example in (sampled, rewritten, own)]
    assert ends == ["Wrong solution:", "Right solution:", "Right solution:"]
    assert {weight for example in (sampled, rewritten, own) for weight in example.scores["weight"]} == {1.0}


@pytest.mark.parametrize(("recipe", "right", "wrong"), [("rft", 2, 0), ("sft-on-rewrites", 0, 4), ("rlmec", 2, 4)])
def test_a_sample_that_teaches_nothing_is_not_drawn(recipe, right, wrong, taught, tokenizer):
    lessons = lessons_of(recipe, taught, tokenizer)
    assert (len(lessons.right), len(lessons.wrong)) == (right, wrong)


@pytest.mark.parametrize(
    ("recipe", "wrong", "unimitated"),
    [("rlmec", 3, 1), ("rlmec-no-token-reward", 3, 0), ("rlmec-no-imitation", 4, 0), ("coh", 4, 0)],
)
def test_where_rewrites_are_imitated_a_wrong_sample_without_one_stands_apart(
    recipe, wrong, unimitated, taught, tokenizer, tmp_path
):
    """Three of four have one. Without token rewards the fourth teaches nothing; recipe coh imitates it itself."""
    three = tmp_path / "edits.parquet"
    write_table(read_table("edits", taught["edits"]).head(3), "edits", three)
    lessons = lessons_of(recipe, {**taught, "edits": three}, tokenizer)
    assert (len(lessons.wrong), len(lessons.unimitated)) == (wrong, unimitated)


def test_every_sample_may_bring_its_problems_reference_solution(run, taught, tokenizer):
    options = TrainPolicyOptions(imitate=("references",))  # beside token rewards
    lessons = Lessons(options, taught, tokenizer)
    _, reference = lessons.examples(lessons.wrong[0])
    sample = read_table("samples", taught["samples"]).row(lessons.wrong[0], named=True)
    (solution,) = [problem["solution"] for problem in run.problems if problem["problem_id"] == sample["problem_id"]]
    assert list(reference.completion_ids) == solution_completion(tokenizer, solution)
    assert list(reference.prompt_ids) == sample["prompt_ids"]


def test_steps_are_the_lines_of_a_completion_and_groups_its_problem(taught, tokenizer):
    lessons = lessons_of("rlmec", taught, tokenizer)
    (example,) = lessons.examples(lessons.right[0])
    text = tokenizer.decode(example.completion_ids, skip_special_tokens=True)
    first = [token for token, step in zip(example.completion_ids, example.steps, strict=True) if step == 0]
    assert tokenizer.decode(first) == text.split("\n")[0] + "\n"
    assert set(example.steps) == {0, 1}
    assert len({lessons.examples(row)[0].group for row in lessons.wrong}) == 4  # four problems


def test_pairs_are_wanted_and_there_is_none(run, taught, tokenizer):
    from tasks.pair import PairOptions, pair

    empty = run.root / "without"
    empty.mkdir()
    write_table(table("rewrites", []), "rewrites", empty / "rewrites.parquet")
    tables = {**taught, "rewrites": empty / "rewrites.parquet"}
    pair(PairOptions(), tables, empty)
    with pytest.raises(UserError, match="no rewrite was accepted, so there is no pair to learn from"):
        lessons_of("dpo", {**tables, "pairs": empty / "pairs.parquet"}, tokenizer)


def test_a_sample_without_scores_is_named(run, tokenizer):
    empty = run.root / "no_scores.parquet"
    write_table(table("token_rewards", []), "token_rewards", empty)
    edits = run.root / "no_edits.parquet"
    write_table(table("edits", []), "edits", edits)
    inputs = {"samples": run.paths["samples"], "token_rewards": empty,
              "rewrites": run.paths["teacher_rewrites"], "edits": edits}  # fmt: skip
    with pytest.raises(UserError, match="has no token rewards; rerun stage score"):
        Lessons(RLMEC, inputs, tokenizer)


def test_figa_pushes_away_what_the_teachers_rewrite_replaced_and_imitates_what_it_put_there(run, taught, tokenizer):
    lessons = lessons_of("figa", taught, tokenizer)
    assert (lessons.right, len(lessons.wrong)) == ([], 4)
    sampled, rewritten = lessons.examples(lessons.wrong[0])

    def weighted(example):
        pairs = zip(example.completion_ids, example.scores["weight"], strict=True)
        return [(tokenizer.decode([token]), weight) for token, weight in pairs if weight]

    # 12+5=18 → 12+5=17 and "The answer is 18." → "… 17.": one digit each.
    assert weighted(sampled) == [("8", -0.5), ("8", -0.5)]
    assert weighted(rewritten) == [("7", 1.0), ("7", 1.0)]


def test_where_a_rewrite_was_accepted_there_may_be_no_token_rewards(taught, tokenizer):
    options = RLMEC.model_copy(update={"rewarded": "unrewritten"})
    lessons = Lessons(options, taught, tokenizer)
    (rewritten,) = lessons.examples(lessons.wrong[0])  # the wrong sample itself teaches nothing then
    assert not rewritten.is_sample
    (right,) = lessons.examples(lessons.right[0])
    assert "reward" in right.scores


def test_a_sample_without_token_rewards_still_has_the_reference_that_drift_is_measured_by(taught, tokenizer):
    """Or KL would be measured from log-probabilities of 0."""
    options = RLMEC.model_copy(update={"rewarded": "unrewritten", "rejected_weight": -0.5})
    lessons = Lessons(options, taught, tokenizer)
    sampled, _ = lessons.examples(lessons.wrong[0])
    assert "reward" not in sampled.scores
    assert max(sampled.reference_logprobs) < 0
    assert len(sampled.reference_logprobs) == len(sampled.completion_ids)


def test_the_halves_of_a_pair_get_the_credit_of_their_own_tokens(taught, tokenizer, tmp_path):
    tables = {name: taught[name] for name in ("policy", "samples", "rewrites", "problems")}
    pair(PairOptions(credit="contrast", batch_size=3), tables, tmp_path)
    lessons = lessons_of("t-reg", {**taught, "pairs": tmp_path / "pairs.parquet"}, tokenizer)
    samples = read_table("samples", taught["samples"])
    problems = ById(read_table("problems", taught["problems"]), "problem_id")
    at = torch.device("cpu")
    for row in lessons.wrong:
        sampled, rewritten = lessons.examples(row)
        sample = samples.row(row, named=True)
        asked = [sample, {**sample, "completion_ids": rewritten.completion_ids}]
        given = PairOptions(credit="contrast").give(taught, asked, problems, at)
        assert sampled.scores["reward"] == pytest.approx(given[0].rewards, abs=1e-5)
        assert rewritten.scores["reward"] == pytest.approx(given[1].rewards, abs=1e-5)
        assert sampled.reference_logprobs is not None


def test_pairs_without_a_credit_source_have_none(taught, tokenizer):
    sampled, rewritten = lessons_of("dpo", taught, tokenizer).examples(2)
    assert "reward" not in sampled.scores
    assert "reward" not in rewritten.scores
