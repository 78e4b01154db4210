"""What sequences begin with is read once: the same log-probabilities and gradients, from fewer tokens."""

import copy

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen3Config,
)

from models.batch import Example, collate, length, micro_batches
from models.layout import Tree, common, cost, lay_out, shared_width
from models.logprobs import completion_logprobs, token_logprobs

CPU = torch.device("cpu")
PROMPT = [5, 6, 7]
TREE = [Example(PROMPT, ids) for ids in ([8, 9, 10], [8, 9, 11, 12], [8, 9, 10], [13], [8, 9])]
SHAPE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 2, "vocab_size": 32, "initializer_range": 0.3}  # fmt: skip


def test_branches_lie_behind_what_they_share_and_do_not_see_each_other():
    tree = Tree([[1, 2, 3, 6, 7], [1, 2, 3, 4, 5]])
    assert tree.tokens == [1, 2, 3, 4, 5, 6, 7]
    assert tree.paths == [[0, 1, 2, 5, 6], [0, 1, 2, 3, 4]]
    layout = lay_out([[[1, 2, 3, 6, 7], [1, 2, 3, 4, 5]]], [[2, 2]], CPU)
    assert layout.positions.tolist() == [[0, 1, 2, 3, 4, 3, 4]]
    assert layout.attention[0, 0, 6].int().tolist() == [1, 1, 1, 0, 0, 1, 1]
    # Completions begin at the third token: 3 is predicted once, 4 and 6 by the same place.
    assert layout.predictors.tolist() == [1, 2, 3, 2, 5]
    assert layout.targets.tolist() == [3, 4, 5, 6, 7]
    assert layout.terms.tolist() == [0, 3, 4, 0, 1, 2]


def test_two_sequences_have_in_common_what_they_begin_with():
    assert common([1, 2, 3], [1, 2, 4, 3]) == 2
    assert common([1, 2], [1, 2, 4]) == 2
    assert common([2, 1], [1, 2]) == 0


def test_examples_in_one_row_have_the_logprobs_and_gradients_that_they_have_alone(model):
    """Among them twice the same one, one that another begins with, and one that parts at its first token."""
    found = {}
    for name, rows in {"apart": TREE, "together": [TREE]}.items():
        own = copy.deepcopy(model)
        batch = collate(rows, CPU)
        values = token_logprobs(own, batch)
        (values * torch.arange(values.numel()).view_as(values)).sum().backward()
        found[name] = [values.detach(), *(weights.grad for weights in own.parameters())]
    assert collate([TREE], CPU).layout.tokens.tolist() == [[5, 6, 7, 8, 9, 10, 11, 12, 13]]
    for one, other in zip(found["apart"], found["together"], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_rows_of_several_lengths_are_padded_and_padding_is_seen_from_nowhere(model):
    rows = [TREE[:2], [Example([1], [2])]]
    values = token_logprobs(model, collate(rows, CPU))
    assert torch.isfinite(values).all()
    torch.testing.assert_close(values, token_logprobs(model, collate([*TREE[:2], Example([1], [2])], CPU)))


def test_scores_in_shared_rows_are_those_of_one_at_a_time(model):
    alone = {row: next(completion_logprobs(model, [example]))[1] for row, example in enumerate(TREE)}
    for row, values in completion_logprobs(model, TREE):
        torch.testing.assert_close(values, alone[row], atol=1e-5, rtol=0)


def test_examples_share_a_row_where_that_costs_less():
    """Of width 4, a row of n tokens costs n (1 + n / 26), and a tree n (1 + 1.5 n / 26). Two sequences of 20, sharing
    18 tokens: 22 · (1 + 33/26) = 49.9 against 2 · 20 · (1 + 20/26) = 70.8. Sharing 2: 38 · (1 + 57/26) = 121.3."""
    assert cost(20, 4, is_tree=False) == pytest.approx(20 * (1 + 20 / 26))
    assert cost(38, 4, is_tree=True) == pytest.approx(121.3, abs=0.05)
    alike = [Example([7] * 18, [token, token]) for token in (1, 2)]
    other = [Example([7, 7], [token] * 18) for token in (3, 4)]
    rows = [row for part in micro_batches([*alike, *other], 1000, width=4) for row in part]
    assert sorted(map(length, rows)) == [20, 20, 22]
    assert [len(row) for part in micro_batches(alike, 1000, width=None) for row in part] == [1, 1]


def test_a_shared_row_has_no_more_tokens_than_a_micro_batch_but_holds_a_pair():
    halves = [Example([7] * 6, [1, 2], is_sample=True, pair=0), Example([7] * 6, [3, 4], pair=0)]
    third = Example([7] * 6, [5, 6])
    parts = micro_batches([*halves, third], tokens=10, width=64)
    assert [[length(row) for row in part] for part in parts] == [[10], [8]]
    assert parts[0][0] == halves
    assert [[length(row) for row in part] for part in micro_batches([*halves, third], 12, width=64)] == [[12]]


@pytest.mark.parametrize("config", [LlamaConfig(**SHAPE), Qwen3Config(**SHAPE, head_dim=8),
                                    GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=32)])  # fmt: skip
def test_models_that_are_told_positions_and_a_mask_share(config):
    assert shared_width(AutoModelForCausalLM.from_config(config).eval()) == 16


@pytest.mark.parametrize(
    "config",
    [
        MistralConfig(**SHAPE, sliding_window=4),  # looks at a window
        AutoConfig.for_model("bloom", hidden_size=16, n_layer=2, n_head=2, vocab_size=32),  # takes positions from masks
        MambaConfig(hidden_size=16, num_hidden_layers=2, vocab_size=32, state_size=4),  # keeps a state
    ],
    ids=lambda config: config.model_type,
)
def test_other_models_read_each_sequence_for_itself_and_give_the_same(config):
    torch.manual_seed(0)
    other = AutoModelForCausalLM.from_config(config).eval()
    assert shared_width(other) is None
    alone = {row: next(completion_logprobs(other, [example]))[1] for row, example in enumerate(TREE)}
    for row, values in completion_logprobs(other, TREE):
        torch.testing.assert_close(values, alone[row], atol=1e-5, rtol=0)


def test_a_model_that_drops_out_at_random_shares_nothing_while_it_is_trained():
    model = AutoModelForCausalLM.from_config(GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=32, resid_pdrop=0.5))
    assert shared_width(model.train()) is None
    assert shared_width(model.eval()) == 16


def test_trying_a_model_draws_no_random_number(model):
    before = torch.get_rng_state()
    shared_width(model.train())
    model.eval()
    assert torch.equal(torch.get_rng_state(), before)
