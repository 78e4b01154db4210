"""Completing prompts: the same tokens as transformers, in any batch, from the right distribution."""

import pytest
import torch
from scipy.stats import chisquare

from models import policy
from models.policy import Decoding, choose, complete, forget_shared, load, replica, shared, uniform

PROMPTS = ["Tom has 12 apples.", "Question: Tom", "He buys 5 more. How many apples does Tom have now?\n"]


def completions(model, tokenizer, prompts, decoding, seeds=None, batch_size=8):
    ids = [tokenizer(text)["input_ids"] for text in prompts]
    done = complete(model, ids, tokenizer.eos_token_id, decoding, seeds, batch_size)
    return {completion.row: completion for completion in done}


def test_greedy_completions_are_those_of_transformers_generate(model, tokenizer):
    ours = completions(model, tokenizer, PROMPTS, Decoding(max_new_tokens=12))
    for row, text in enumerate(PROMPTS):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        theirs = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False, pad_token_id=1
        )
        assert ours[row].ids == theirs[0, ids.shape[1] :].tolist()


def test_a_row_is_the_same_alone_and_in_any_batch(model, tokenizer):
    decoding = Decoding(max_new_tokens=12, temperature=0.7, top_p=0.95)
    together = completions(model, tokenizer, PROMPTS, decoding, seeds=[5, 6, 7])
    for row, text in enumerate(PROMPTS):
        alone = completions(model, tokenizer, [text], decoding, seeds=[5 + row])
        assert alone[0].ids == together[row].ids


def test_rows_that_end_leave_the_batch_and_the_others_go_on_unchanged(model, tokenizer):
    """With EOS as likely as anything, rows end at different steps; each must still be what it is alone."""
    decoding = Decoding(max_new_tokens=30, temperature=5.0)
    prompts = [PROMPTS[row % 3] for row in range(24)]
    seeds = list(range(24))
    together = completions(model, tokenizer, prompts, decoding, seeds, batch_size=24)
    alone = completions(model, tokenizer, prompts, decoding, seeds, batch_size=1)
    ended = [together[row].ended for row in range(24)]
    assert [together[row].ids for row in range(24)] == [alone[row].ids for row in range(24)]
    assert any(ended)
    assert not all(ended)


def test_decoding_ends_with_the_longest_completion(model, tokenizer, monkeypatch):
    """A row that has ended stays in its batch until a quarter has; what it says then keeps nobody waiting."""
    steps = []

    def scripted(logits, decoding, draws):
        steps.append(len(logits))
        first_ends, others_end = len(steps) == 1, len(steps) == 4
        return torch.tensor([9 if first_ends else 5] + [9 if others_end else 5] * 7)

    monkeypatch.setattr("models.policy.choose", scripted)
    done = list(complete(model, [[1, 2]] * 8, eos=9, decoding=Decoding(20)))
    assert [completion.ids for completion in done] == [[9]] + [[5, 5, 5, 9]] * 7
    assert steps == [8, 8, 8, 8]


def test_eos_belongs_only_to_a_completion_that_ended(model, tokenizer):
    decoding = Decoding(max_new_tokens=30, temperature=5.0)
    done = completions(model, tokenizer, [PROMPTS[0]] * 24, decoding, list(range(24)), 24)
    for completion in done.values():
        assert (tokenizer.eos_token_id in completion.ids) == completion.ended
        assert completion.ended or len(completion.ids) == 30


def test_sampled_tokens_follow_the_tempered_softmax():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    draws = uniform(seed=3, count=20_000)
    tokens = choose(logits.expand(20_000, 4), Decoding(1, temperature=0.7), draws)
    expected = (logits[0] / 0.7).softmax(-1).double() * 20_000
    assert chisquare(torch.bincount(tokens, minlength=4), expected / expected.sum() * 20_000).pvalue > 0.001


def test_top_p_keeps_the_smallest_set_that_reaches_p_and_renormalises():
    # Probabilities .5 .3 .15 .05: at p = .7 the nucleus is {.5, .3}, so draws split at .5 / .8 = .625.
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(4, 4)
    draws = torch.tensor([0.0, 0.62, 0.63, 0.999], dtype=torch.float64)
    assert choose(logits, Decoding(1, temperature=1.0, top_p=0.7), draws).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("sharpness", [0.1, 3.0])
def test_a_flat_and_a_peaked_distribution_are_both_cut_where_the_sorted_whole_is(sharpness):
    """Of 500 tokens a flat nucleus holds hundreds, a peaked one a few: more and fewer than are looked at first."""
    logits = sharpness * torch.randn(64, 500, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    draws = uniform(seed=2, count=64)
    tokens = choose(logits, Decoding(1, temperature=1.0, top_p=0.9), draws)
    for row, draw in enumerate(draws.tolist()):
        nucleus, mass = [], 0.0
        for probability, token in sorted(zip(logits[row].softmax(-1).tolist(), range(500), strict=True), reverse=True):
            if mass < 0.9:
                nucleus.append((mass, token))
                mass += probability
        assert tokens[row] == [token for before, token in nucleus if before <= draw * mass][-1]


def test_sampling_without_seeds_is_refused(model, tokenizer):
    with pytest.raises(ValueError, match="one seed a row"):
        completions(model, tokenizer, PROMPTS, Decoding(2, temperature=1.0))


def test_pickled_weights_are_never_loaded(model, tokenizer, tmp_path):
    model.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load(tmp_path)


def test_a_shared_tokenizer_is_loaded_once_until_it_is_forgotten(policy_folder):
    first = policy.shared_tokenizer(policy_folder)
    assert policy.shared_tokenizer(policy_folder) is first
    policy.forget_shared()
    assert policy.shared_tokenizer(policy_folder) is not first
    policy.forget_shared()


def test_a_replica_has_the_same_weights_in_other_modules(model):
    other = replica(model)
    assert other is not model
    assert other.lm_head is not model.lm_head
    for one, same in zip(model.parameters(), other.parameters(), strict=True):
        assert one is same


def test_what_threads_share_is_loaded_once_and_each_has_modules_of_its_own(policy_folder):
    one, _ = shared(policy_folder, torch.device("cpu"))
    other, _ = shared(policy_folder, torch.device("cpu"))
    forget_shared()
    assert one is not other
    assert next(one.parameters()) is next(other.parameters())
