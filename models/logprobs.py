"""Log-probabilities of the tokens that were taken, in fp32 whatever the model computes in.

Reference log-probabilities in bf16 make the ratio of two equal policies stray from 1 by 4 %, so the softmax is
always taken in fp32 (docs: DESIGN fault 8 of the authors' release).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.batch import Batch, Example, collate
from models.deferred import inference, torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


KL = "kl"  # the name of the score


def token_logprobs(model: PreTrainedModel, batch: Batch) -> Tensor:
    """log p(token t | tokens before t), (B, T) fp32; exactly 0 outside completions. Full softmax, temperature 1."""
    return taken(completion_logits(model, batch), batch)


def logprobs_and_kl(model: PreTrainedModel, reference: PreTrainedModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """As `token_logprobs`, and KL(reference ‖ model) of the whole distributions at each token of a completion, (B, T)
    fp32, in nats; the gradient is the model's alone."""
    logits = completion_logits(model, batch)
    with torch.no_grad():
        theirs = completion_logits(reference, batch).log_softmax(-1)
    drift = (theirs.exp() * (theirs - logits.log_softmax(-1))).sum(-1)
    return taken(logits, batch), at_completions(drift, batch)


@contextmanager
def precise_head(model: PreTrainedModel, is_needed: bool = True) -> Iterator[None]:
    """The model's output layer in fp32 while the others compute in bf16: a logit of 20 in bf16 is known to 0.06."""
    head = model.get_output_embeddings() if is_needed else None
    if head is None:
        yield
        return
    inner = head.forward

    def forward(hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            logits: Tensor = inner(hidden.float())
        return logits

    head.forward = forward
    try:
        yield
    finally:
        del head.forward


def completion_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """The logits that predict the tokens from the end of the shortest prompt on, (B, n, V) fp32."""
    kept = batch.tokens.shape[1] - batch.shortest_prompt + 1
    output = model(input_ids=batch.tokens, attention_mask=batch.attention, use_cache=False, logits_to_keep=kept)
    logits: Tensor = output.logits[:, :-1].float()
    return logits


def taken(logits: Tensor, batch: Batch) -> Tensor:
    """The log-probabilities of the batch's own tokens, (B, T)."""
    tokens = batch.tokens[:, batch.shortest_prompt :]
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none")
    return at_completions(-losses.view_as(tokens), batch)


def at_completions(values: Tensor, batch: Batch) -> Tensor:
    """Values from the end of the shortest prompt on, as (B, T), and exactly 0 outside completions."""
    first = batch.shortest_prompt
    return torch.nn.functional.pad(values.masked_fill(~batch.completion[:, first:], 0.0), (first, 0))


@inference
def contrasted_probabilities(
    better: PreTrainedModel, worse: PreTrainedModel, examples: Sequence[Example], batch_size: int = 16
) -> Iterator[tuple[int, Tensor]]:
    """As `completion_logprobs`, but yields softmax(2 log p_better − log p_worse) at each completion token, (n,)."""
    for rows, batch in length_sorted(examples, batch_size, better.device):
        ours, theirs = (completion_logits(model, batch).log_softmax(-1) for model in (better, worse))
        yield from completions_of(rows, taken(2 * ours - theirs, batch).exp(), batch)


@inference
def completion_logprobs(
    model: PreTrainedModel, examples: Sequence[Example], batch_size: int = 16
) -> Iterator[tuple[int, Tensor]]:
    """Yield (row, log-probabilities of its completion tokens, (n,) fp32 on the CPU) for each example.

    Batches hold examples of similar length; rows come in that order.
    """
    for rows, batch in length_sorted(examples, batch_size, model.device):
        yield from completions_of(rows, token_logprobs(model, batch), batch)


def length_sorted(examples: Sequence[Example], batch_size: int, at: torch.device) -> Iterator[tuple[list[int], Batch]]:
    """Batches of examples of similar length, each with the rows of its examples."""
    order = sorted(range(len(examples)), key=lambda row: len(examples[row]))
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        yield rows, collate([examples[row] for row in rows], at)


def completions_of(rows: Sequence[int], values: Tensor, batch: Batch) -> Iterator[tuple[int, Tensor]]:
    """Each row's values at its completion, on the CPU; values: (B, T)."""
    for row, own, mask in zip(rows, values, batch.completion, strict=True):
        yield row, own[mask].cpu()
