"""One training loop for the warm-up, the GRM and the policy, in one process or in several.

It differs from transformers' Trainer in one thing that the method needs: each objective has a denominator of its
own, counted over the whole optimiser step (all micro-batches, all processes) before the first backward pass.

    objectives = {"weighted_nll": weighted_nll.Objective()}
    for done, report in train(model, steps, total=200, objectives=objectives, optimisation=Optimisation()):
        print(done, report["loss"])
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from models import processes
from models.batch import Batch, Example, collate, micro_batches
from models.checkpoints import Checkpoints, Stateful
from models.deferred import torch
from models.layout import shared_width
from models.logprobs import KL, logprobs_and_kl, token_logprobs
from models.objectives import Objective
from models.sharding import is_sharded, shard, whole

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

NOTHING = Example([0], [0])  # what a process reads that has nothing left while others have


class NotEnoughMemoryError(Exception):
    """Even the smallest micro-batch does not fit into the device's memory."""


class NotFiniteError(Exception):
    """An update whose gradients are not numbers any more; the weights are those before it."""


@dataclass(frozen=True)
class Optimisation:
    """The optimiser and its schedule; the defaults are the paper's, but for the learning rate, which each stage sets.

    optimiser: adamw, or muon, which learns from random weights with fewer updates (`models/optimiser.py`).
    learning_rate: the peak. warm_up_fraction: share of the updates in which it rises.
    micro_batch_tokens: padded tokens in one forward pass; halved where they do not fit into memory.
    precision: bf16 computes the layers in bfloat16 (autocast); weights, their updates, the output layer and
    log-probabilities stay fp32. gradient_checkpointing: compute activations again in the backward pass rather than
    keep them. Raises ValueError for a value out of range.
    """

    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 2e-5
    schedule: Literal["cosine", "constant"] = "cosine"
    warm_up_fraction: float = 0.03
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    micro_batch_tokens: int = 16384
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_gradient_norm", "micro_batch_tokens"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number greater than 0")
        if not (0 <= self.warm_up_fraction <= 1 and 0 <= self.weight_decay < math.inf):
            raise ValueError("warm_up_fraction must lie in 0..1, and weight_decay must not be negative")


@dataclass
class Reading:
    """How examples are read: the model and what it is measured by, and how many padded tokens at once, which shrinks
    for good where they do not fit. width: of a model for which examples may share what they begin with."""

    model: PreTrainedModel
    objectives: Mapping[str, Objective]
    reference: PreTrainedModel | None
    precision: str
    tokens: int
    width: int | None = None

    @property
    def at(self) -> torch.device:
        return self.model.device

    @property
    def trained(self) -> list[torch.nn.Parameter]:
        return [weights for weights in self.model.parameters() if weights.requires_grad]

    @property
    def is_sharded(self) -> bool:
        return is_sharded(self.trained[0])


def train(
    model: PreTrainedModel,
    steps: Iterable[Sequence[Example]],
    total: int,
    objectives: Mapping[str, Objective],
    optimisation: Optimisation,
    checkpoints: Checkpoints | None = None,
    also: Sequence[Stateful] = (),
    reference: PreTrainedModel | None = None,
    longest: Example | None = None,
    sharded: bool = False,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Make one optimiser update for each of the first `total` lists of examples in `steps`; after each, yield the
    number of updates done and a report.

    objectives: by name. The report has loss, loss/<name>, gradient_norm, learning_rate, tokens (of this update),
    tokens_per_second, micro_batch_tokens and what the objectives report. An update without any term has a loss of
    exactly 0 and leaves the weights alone but for the optimiser's momentum. Stop by leaving the loop.

    reference: the model that objectives which need "reference" measure the drift from; it is not trained.
    longest: the longest example to come. A micro-batch full of it is read first, so that memory that does not suffice
    shows now. With `checkpoints` the run goes on after the newest one, and makes more; `also` is what else they hold.
    Each is made after the caller saw its update.

    In several processes (`models/processes.py`) each must call this with the same arguments, and reads its share of
    every update. sharded: each keeps but its part of the weights.
    """
    from models.optimiser import new_optimiser

    model.train()
    if optimisation.gradient_checkpointing:
        checkpointing(model, "enable")({"use_reentrant": False})
    width = shared_width(model)
    if sharded:
        shard(model)
    reading = Reading(model, objectives, reference, optimisation.precision, optimisation.micro_batch_tokens)
    optimiser = new_optimiser(model, optimisation)
    if longest:
        rehearse(reading, optimiser, longest)
    reading.width = width  # not before: the rehearsal's copies of one example would share a row
    schedule = scheduler(optimiser, optimisation, total)
    first = 0
    if checkpoints:
        checkpoints.register(model, optimiser, schedule, *also)
        first = checkpoints.restore()
    for done, examples in enumerate(islice(steps, first, total), start=first + 1):
        yield done, update(reading, optimiser, schedule, optimisation.max_gradient_norm, examples)
        if checkpoints and done % checkpoints.every == 0 and done < total:
            checkpoints.save(done)
    if optimisation.gradient_checkpointing:
        checkpointing(model, "disable")()
    model.eval()


def update(
    reading: Reading,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    max_norm: float,
    examples: Sequence[Example],
) -> dict[str, float]:
    """Learn from these examples, and return the report; NotFiniteError where that would destroy the weights."""
    started = time.perf_counter()
    sums = gradients(reading, processes.share(examples), shortest=min(map(len, examples)))
    norm = float(whole(torch.nn.utils.clip_grad_norm_(reading.trained, max_norm)))
    if not math.isfinite(norm):  # one such update would make every weight NaN
        raise NotFiniteError(f"the gradient's norm is {norm}, and the loss {sums['loss']:g}")
    rate = schedule.get_last_lr()[0]
    optimiser.step()
    schedule.step()
    optimiser.zero_grad()
    tokens = sum(len(example) for example in examples)
    return sums | {
        "gradient_norm": norm,
        "learning_rate": float(rate),
        "tokens": tokens,
        "tokens_per_second": tokens / (time.perf_counter() - started),
        "micro_batch_tokens": reading.tokens,
    }


def checkpointing(model: PreTrainedModel, how: str) -> Callable[..., None]:
    """transformers' method that turns checkpointed activations on or off, by the name that it has in this version."""
    new = getattr(model, f"activation_checkpointing_{how}", None)
    return new or getattr(model, f"gradient_checkpointing_{how}")  # type: ignore[no-any-return]


def rehearse(reading: Reading, optimiser: torch.optim.Optimizer, longest: Example) -> None:
    """Read as many copies of an example as fit into a micro-batch, with the optimiser's states in memory, and leave no
    trace: an update of 0 makes the states."""
    rates = [group["lr"] for group in optimiser.param_groups]
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    for weights in reading.trained:
        weights.grad = torch.zeros_like(weights)
    optimiser.step()
    optimiser.zero_grad()
    with torch.random.fork_rng(devices=[reading.at] if reading.at.type == "cuda" else []):
        alone = replace(longest, pair=None)
        gradients(reading, [alone] * max(1, reading.tokens // len(alone)), shortest=len(alone))
    optimiser.zero_grad()
    optimiser.state.clear()
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def scheduler(
    optimiser: torch.optim.Optimizer, optimisation: Optimisation, total: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate rises over the first updates, then falls along a cosine or stays."""
    from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

    rising = round(optimisation.warm_up_fraction * total)
    if optimisation.schedule == "constant":
        return get_constant_schedule_with_warmup(optimiser, rising)
    return get_cosine_schedule_with_warmup(optimiser, rising, total)


def gradients(reading: Reading, examples: Sequence[Example], shortest: int) -> dict[str, float]:
    """The gradient of the whole update's loss, in every process; returns the update's report.

    Where a micro-batch does not fit into memory, in any process, all of them drop what they have and begin the update
    anew with micro-batches of half the size. shortest: the length of the update's shortest example, below which there
    is nothing to halve.
    """
    batches = collated(reading, examples)
    counts = {name: count(reading, objective, batches) for name, objective in reading.objectives.items()}
    while True:
        report, error = attempt(reading, batches, counts)
        if not processes.anywhere(error is not None, reading.at):
            break
        if reading.tokens <= shortest:
            raise NotEnoughMemoryError(f"a micro-batch of {reading.tokens} tokens does not fit into memory: {error}")
        for weights in reading.trained:
            weights.grad = None
        if reading.at.type == "cuda":
            torch.cuda.empty_cache()
        reading.tokens //= 2
        batches = collated(reading, examples)
    if not reading.is_sharded:
        processes.sum_gradients(reading.trained)
    return readable(processes.gathered(report))


def attempt(
    reading: Reading, batches: Sequence[Batch], counts: Mapping[str, Tensor]
) -> tuple[dict[str, list[float]], str | None]:
    """The report of this process's own part, and what was said where it did not fit: the error itself would hold on
    to the memory. Processes that share one model's parts wait for each other in the middle of it, so they cannot begin
    anew."""
    try:
        return backward(reading, batches, counts), None
    except torch.OutOfMemoryError as error:
        if reading.is_sharded:
            raise NotEnoughMemoryError(f"a micro-batch of {reading.tokens} tokens does not fit: {error}") from error
        return {}, str(error)


def backward(reading: Reading, batches: Sequence[Batch], counts: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Add the gradient of this process's part of the loss, micro-batch by micro-batch, and return what it reports: a
    sum and a count by name."""
    # The counts are over all processes already; of sharded weights' gradients the mean is taken, of others the sum.
    scale = processes.world() if reading.is_sharded else 1
    report: dict[str, Tensor] = {}
    for given in batches:
        logprobs, batch = read(reading, given)
        loss = logprobs.sum() * 0.0  # keeps the graph where no objective has a term
        for name, objective in reading.objectives.items():
            total, ratios = objective.total(logprobs, batch)
            term = objective.weight * total / counts[name].clamp(min=1)
            loss = loss + term
            for label, (value, number) in {f"loss/{name}": (term, term * 0), **ratios}.items():
                both = torch.stack([value.detach().float(), number.detach().float()])
                report[label] = report.get(label, torch.zeros_like(both)) + both
        (loss * scale).backward()
    return {name: both.tolist() for name, both in report.items()}


def read(reading: Reading, batch: Batch) -> tuple[Tensor, Batch]:
    """The log-probabilities of a batch, (B, T), and the batch with what the objectives need of the reference."""
    with torch.autocast(reading.at.type, torch.bfloat16, enabled=reading.precision == "bf16"):
        if reading.reference is None:
            return token_logprobs(reading.model, batch), batch
        logprobs, drift = logprobs_and_kl(reading.model, reading.reference, batch)
    return logprobs, replace(batch, scores={**batch.scores, KL: drift})


def collated(reading: Reading, examples: Sequence[Example]) -> list[Batch]:
    """The micro-batches of this process's part of an update."""
    parts = micro_batches(examples, reading.tokens, reading.width)
    if reading.is_sharded:  # a layer's parts come together in all processes at once, or in none
        parts += [[[NOTHING]]] * (max(processes.gathered(len(parts))) - len(parts))
    return [collate(part, reading.at) for part in parts]


def count(reading: Reading, objective: Objective, batches: Sequence[Batch]) -> Tensor:
    """The objective's denominator over all micro-batches and processes of this update."""
    local = [objective.count(batch).float() for batch in batches]
    return processes.summed(sum(local, torch.zeros((), device=reading.at)))


def readable(reports: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, float]:
    """What all processes report, as floats: losses add up to `loss`, of all else the ratio of sum and count."""
    both: dict[str, list[float]] = {}
    for report in reports:
        for name, (value, number) in report.items():
            before = both.get(name, [0.0, 0.0])
            both[name] = [before[0] + value, before[1] + number]
    losses = {name: value for name, (value, _) in both.items() if name.startswith("loss/")}
    means = {name: value / max(number, 1.0) for name, (value, number) in both.items() if name not in losses}
    return {"loss": sum(losses.values()), **losses, **means}
