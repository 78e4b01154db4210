"""Log-probabilities of the tokens that were taken, in fp32 whatever the model computes in.

Reference log-probabilities in bf16 make the ratio of two equal policies stray from 1 by 4 %, so the softmax is
always taken in fp32 (docs: DESIGN fault 8 of the authors' release).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.batch import Batch, Example, collate

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def token_logprobs(model: PreTrainedModel, batch: Batch) -> Tensor:
    """log p(token t | tokens before t), (B, T) fp32; exactly 0 outside completions. Full softmax, temperature 1."""
    first = batch.shortest_prompt  # the logits at first - 1 predict token `first`
    kept = batch.tokens.shape[1] - first + 1
    output = model(input_ids=batch.tokens, attention_mask=batch.attention, use_cache=False, logits_to_keep=kept)
    logits = output.logits[:, :-1]
    taken = batch.tokens[:, first:]
    logprobs = -torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), taken.flatten(), reduction="none"
    ).view_as(taken)
    logprobs = logprobs.masked_fill(~batch.completion[:, first:], 0.0)
    return torch.nn.functional.pad(logprobs, (first, 0))


@torch.inference_mode()
def completion_logprobs(
    model: PreTrainedModel, examples: Sequence[Example], batch_size: int = 16
) -> Iterator[tuple[int, Tensor]]:
    """Yield (row, log-probabilities of its completion tokens, (n,) fp32 on the CPU) for each example.

    Batches hold examples of similar length; rows come in that order.
    """
    order = sorted(range(len(examples)), key=lambda row: len(examples[row]))
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        batch = collate([examples[row] for row in rows], model.device)
        logprobs = token_logprobs(model, batch)
        for row, values, mask in zip(rows, logprobs, batch.completion, strict=True):
            yield row, values[mask].cpu()
