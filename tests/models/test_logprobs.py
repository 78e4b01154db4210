"""Log-probabilities: those of a plain forward pass, in the right columns, whatever is padded with what."""

import torch

from models.batch import Example, collate, micro_batches
from models.logprobs import completion_logprobs, token_logprobs

EXAMPLES = [Example([5, 6, 7], [8, 9]), Example([5], [6, 7, 8, 9, 10]), Example([7, 7, 7, 7], [0])]


def plain(model, example):
    """log softmax of an unpadded forward pass at each completion token."""
    ids = torch.tensor([[*example.prompt_ids, *example.completion_ids]])
    with torch.no_grad():
        logprobs = model(input_ids=ids).logits[0].log_softmax(-1)
    start = len(example.prompt_ids)
    return torch.stack([logprobs[start + t - 1, token] for t, token in enumerate(example.completion_ids)])


def test_batched_logprobs_equal_a_plain_forward_pass(model):
    for row, values in completion_logprobs(model, EXAMPLES, batch_size=2):
        torch.testing.assert_close(values, plain(model, EXAMPLES[row]), atol=1e-5, rtol=0)


def test_logprobs_are_fp32_even_of_a_bf16_model(model):
    half = type(model)(model.config).to(torch.bfloat16)
    (_, values), *_ = completion_logprobs(half, EXAMPLES)
    assert values.dtype == torch.float32


def test_masks_come_from_lengths_so_a_completion_may_hold_the_padding_id(model):
    """Token 0 is both EOS here and what rows are padded with; it still counts where it was sampled."""
    batch = collate(EXAMPLES, torch.device("cpu"))
    assert batch.completion.sum(1).tolist() == [2, 5, 1]
    assert batch.tokens[2, 4] == 0
    assert batch.completion[2, 4]
    assert token_logprobs(model, batch)[2, 4] < 0


def test_logprobs_are_exactly_zero_outside_completions(model):
    batch = collate(EXAMPLES, torch.device("cpu"))
    assert (token_logprobs(model, batch)[~batch.completion] == 0).all()


def test_columns_are_about_their_own_token():
    example = Example([1, 2], [3, 4], {"reward": [0.5, -0.1], "weight": [1.0, 0.5]}, [-1.0, -2.0])
    batch = collate([example, Example([1], [2, 3, 4, 5])], torch.device("cpu"))
    assert batch.tokens[0].tolist() == [1, 2, 3, 4, 0]
    torch.testing.assert_close(batch.scores["reward"][0], torch.tensor([0, 0, 0.5, -0.1, 0]))
    torch.testing.assert_close(batch.reference_logprobs[0], torch.tensor([0, 0, -1.0, -2.0, 0]))
    torch.testing.assert_close(batch.scores["weight"][0], torch.tensor([0, 0, 1.0, 0.5, 0]))


def test_micro_batches_hold_at_most_the_given_padded_tokens_and_lose_nothing():
    examples = [Example([1] * length, [2]) for length in (3, 9, 1, 5, 5)]
    # Lengths 10, 6, 6, 4, 2 at most 12 tokens: 10 | 6 6 (2 × 6 = 12) | 4 2 (2 × 4 = 8).
    parts = micro_batches(examples, tokens=12)
    assert [[len(example) for row in part for example in row] for part in parts] == [[10], [6, 6], [4, 2]]
