"""Log-probabilities of the tokens that were taken, in fp32 whatever the model computes in.

Reference log-probabilities in bf16 make the ratio of two equal policies stray from 1 by 4 %, so the softmax is
always taken in fp32 (docs: DESIGN fault 8 of the authors' release).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.batch import Batch, Example, collate, micro_batches
from models.deferred import inference, torch
from models.layout import shared_width

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
def output_layer(model: PreTrainedModel, places: Tensor | None = None, is_precise: bool = False) -> Iterator[None]:
    """The model's output layer, computed for some places alone, (N,) of the (R, L) there are, and in fp32 while the
    others compute in bf16: most places predict a prompt, and a logit of 20 in bf16 is known to 0.06."""
    head = model.get_output_embeddings()
    inner = head.forward

    def forward(hidden: Tensor) -> Tensor:
        if places is not None:
            hidden = hidden.flatten(0, 1)[places][None]
        if not is_precise:
            return inner(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            return inner(hidden.float())

    head.forward = forward
    try:
        yield
    finally:
        del head.forward


def completion_logits(model: PreTrainedModel, batch: Batch) -> Tensor:
    """The logits that predict the tokens of completions, (N, V) fp32, as `Layout.targets` lists them."""
    layout = batch.layout
    with output_layer(model, layout.predictors, torch.is_autocast_enabled(layout.tokens.device.type)):
        logits: Tensor = model(**layout.arguments, use_cache=False).logits
    return logits[0].float()


def taken(logits: Tensor, batch: Batch) -> Tensor:
    """The log-probabilities of the batch's own tokens, (B, T)."""
    return at_completions(-torch.nn.functional.cross_entropy(logits, batch.layout.targets, reduction="none"), batch)


def at_completions(values: Tensor, batch: Batch) -> Tensor:
    """Values of the layout's targets, (N,), at the tokens of completions, (B, T), and exactly 0 elsewhere."""
    found = values.new_zeros(batch.completion.shape)
    return found.masked_scatter(batch.completion, values[batch.layout.terms])


@inference
def contrasted_probabilities(
    better: PreTrainedModel, worse: PreTrainedModel, examples: Sequence[Example], batch_size: int = 16
) -> Iterator[tuple[int, Tensor]]:
    """As `completion_logprobs`, but yields softmax(2 log p_better − log p_worse) at each completion token, (n,)."""
    for rows, batch in together(better, examples, batch_size):
        ours, theirs = (completion_logits(model, batch).log_softmax(-1) for model in (better, worse))
        yield from completions_of(rows, taken(2 * ours - theirs, batch).exp(), batch)


@inference
def completion_logprobs(
    model: PreTrainedModel, examples: Sequence[Example], batch_size: int = 16
) -> Iterator[tuple[int, Tensor]]:
    """Yield (row, log-probabilities of its completion tokens, (n,) fp32 on the CPU) for each example.

    As many tokens are read at once as `batch_size` of the longest examples have; rows come in the order of lengths.
    """
    for rows, batch in together(model, examples, batch_size):
        yield from completions_of(rows, token_logprobs(model, batch), batch)


def together(model: PreTrainedModel, examples: Sequence[Example], batch_size: int) -> Iterator[tuple[list[int], Batch]]:
    """Batches of examples of similar length, which share what they begin with; each with the rows of its examples."""
    if not examples:
        return
    numbers = {id(example): row for row, example in enumerate(examples)}
    for part in micro_batches(examples, batch_size * max(map(len, examples)), shared_width(model)):
        yield [numbers[id(example)] for row in part for example in row], collate(part, model.device)


def completions_of(rows: Sequence[int], values: Tensor, batch: Batch) -> Iterator[tuple[int, Tensor]]:
    """Each row's values at its completion, on the CPU; values: (B, T)."""
    for row, own, mask in zip(rows, values, batch.completion, strict=True):
        yield row, own[mask].cpu()
