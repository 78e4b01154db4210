"""The rows that train a model, and the padded tensors made of them.

Column t of every tensor is about token t itself: its log-probability given the tokens before it, its reward,
its imitation weight. Rows are padded on the right; masks come from lengths, never from comparing ids with a
padding id, which may equal EOS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """One prompt and completion, with what the objectives need for each completion token (None: all zero).

    rewards: R_t. reference_logprobs: log π_ref(y_t). weights: imitation weight w_t.
    """

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    rewards: Sequence[float] | None = None
    reference_logprobs: Sequence[float] | None = None
    weights: Sequence[float] | None = None

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


@dataclass(frozen=True)
class Batch:
    """tokens (B, T) int64, attention (B, T) int64, completion (B, T) bool; the others (B, T) fp32."""

    tokens: Tensor
    attention: Tensor
    completion: Tensor
    rewards: Tensor
    reference_logprobs: Tensor
    weights: Tensor

    @property
    def shortest_prompt(self) -> int:
        """Positions before this hold no completion token in any row."""
        return int(self.completion.int().argmax(1).min())


def collate(examples: Sequence[Example], at: torch.device) -> Batch:
    """Pad examples on the right to the longest; raises ValueError on an empty prompt or completion."""
    longest = max(len(example) for example in examples)
    shape = (len(examples), longest)
    tokens = torch.zeros(shape, dtype=torch.long)
    attention = torch.zeros(shape, dtype=torch.long)
    completion = torch.zeros(shape, dtype=torch.bool)
    rewards, reference_logprobs, weights = (torch.zeros(shape) for _ in range(3))
    for row, example in enumerate(examples):
        if not example.prompt_ids or not example.completion_ids:
            raise ValueError("an example needs at least one prompt token and one completion token")
        end = len(example)
        part = slice(len(example.prompt_ids), end)
        tokens[row, :end] = torch.tensor([*example.prompt_ids, *example.completion_ids])
        attention[row, :end] = 1
        completion[row, part] = True
        for tensor, values in (
            (rewards, example.rewards),
            (reference_logprobs, example.reference_logprobs),
            (weights, example.weights),
        ):
            if values is not None:
                tensor[row, part] = torch.tensor(values, dtype=torch.float32)
    tensors = (tokens, attention, completion, rewards, reference_logprobs, weights)
    return Batch(*(tensor.to(at) for tensor in tensors))


def micro_batches(examples: Sequence[Example], tokens: int) -> list[list[Example]]:
    """Split examples into batches of at most `tokens` padded tokens, or of one example; similar lengths together."""
    batches: list[list[Example]] = []
    for example in sorted(examples, key=len, reverse=True):
        if batches and (len(batches[-1]) + 1) * len(batches[-1][0]) <= tokens:
            batches[-1].append(example)
        else:
            batches.append([example])
    return batches
