"""One training loop for the warm-up, the GRM and the policy, on accelerate.

It differs from transformers' Trainer in one thing that the method needs: each objective has a denominator of its
own, counted over the whole optimiser step (all micro-batches, all processes) before the first backward pass.

    objectives = {"weighted_nll": weighted_nll.Objective()}
    for done, report in train(model, steps, total=200, objectives=objectives, optimisation=Optimisation()):
        print(done, report["loss"])
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from models.batch import Batch, Example, collate, micro_batches
from models.checkpoints import Checkpoints, Stateful
from models.logprobs import KL, logprobs_and_kl, token_logprobs
from models.objectives import Objective

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Optimisation:
    """AdamW and its schedule; the defaults are the paper's, but for the learning rate, which each stage sets.

    learning_rate: the peak. warm_up_fraction: share of the updates in which it rises.
    micro_batch_tokens: padded tokens in one forward pass. Raises ValueError for a value out of range.
    """

    learning_rate: float = 2e-5
    schedule: Literal["cosine", "constant"] = "cosine"
    warm_up_fraction: float = 0.03
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    micro_batch_tokens: int = 16384

    def __post_init__(self) -> None:
        for name in ("learning_rate", "max_gradient_norm", "micro_batch_tokens"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than 0")
        if not 0 <= self.warm_up_fraction <= 1 or self.weight_decay < 0:
            raise ValueError("warm_up_fraction must lie in 0..1, and weight_decay must not be negative")


def train(
    model: PreTrainedModel,
    steps: Iterable[Sequence[Example]],
    total: int,
    objectives: Mapping[str, Objective],
    optimisation: Optimisation,
    checkpoints: Checkpoints | None = None,
    also: Sequence[Stateful] = (),
    reference: PreTrainedModel | None = None,
) -> Iterator[tuple[int, dict[str, float]]]:
    """Make one optimiser update for each of the first `total` lists of examples in `steps`; after each, yield the
    number of updates done and a report.

    objectives: by name. The report has loss, loss/<name>, gradient_norm, learning_rate, tokens (of this update),
    tokens_per_second and what the objectives report. An update without any term has a loss of exactly 0 and
    leaves the weights alone but for Adam's momentum. Stop by leaving the loop.

    reference: the model that objectives which need "reference" measure the drift from; it is not trained.
    With `checkpoints` the run goes on after the newest one, and makes more; `also` is what else they hold. Each
    is made after the caller saw its update.
    """
    from accelerate import Accelerator

    accelerator = Accelerator()
    model.train()
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=optimisation.learning_rate, weight_decay=optimisation.weight_decay
    )
    prepared, optimiser = accelerator.prepare(model, optimiser)
    schedule = scheduler(optimiser, optimisation, total)
    first = 0
    if checkpoints:
        checkpoints.register(accelerator, schedule, *also)
        first = checkpoints.restore(accelerator)
    for done, examples in enumerate(islice(steps, first, total), start=first + 1):
        started = time.perf_counter()
        sums = backward(accelerator, prepared, examples, objectives, optimisation.micro_batch_tokens, reference)
        norm = accelerator.clip_grad_norm_(prepared.parameters(), optimisation.max_gradient_norm)
        rate = schedule.get_last_lr()[0]
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        tokens = sum(len(example) for example in examples)
        yield (
            done,
            sums
            | {
                "gradient_norm": float(norm),
                "learning_rate": float(rate),
                "tokens": tokens,
                "tokens_per_second": tokens / (time.perf_counter() - started),
            },
        )
        if checkpoints and done % checkpoints.every == 0 and done < total:
            checkpoints.save(accelerator, done)
    model.eval()


def scheduler(
    optimiser: torch.optim.Optimizer, optimisation: Optimisation, total: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rate rises over the first updates, then falls along a cosine or stays."""
    from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

    rising = round(optimisation.warm_up_fraction * total)
    if optimisation.schedule == "constant":
        return get_constant_schedule_with_warmup(optimiser, rising)
    return get_cosine_schedule_with_warmup(optimiser, rising, total)


def backward(
    accelerator: Accelerator,
    model: PreTrainedModel,
    examples: Sequence[Example],
    objectives: Mapping[str, Objective],
    tokens: int,
    reference: PreTrainedModel | None = None,
) -> dict[str, float]:
    """Add the gradient of the whole step's loss, micro-batch by micro-batch, and return the step's report."""
    batches = [collate(part, accelerator.device) for part in micro_batches(examples, tokens)]
    counts = {name: step_count(accelerator, objective, batches) for name, objective in objectives.items()}
    report: dict[str, Tensor] = {}
    for batch in batches:
        if reference is None:
            logprobs = token_logprobs(model, batch)
        else:
            logprobs, drift = logprobs_and_kl(model, reference, batch)
            batch = replace(batch, scores={**batch.scores, KL: drift})
        loss = logprobs.sum() * 0.0  # keeps the graph where no objective has a term
        for name, objective in objectives.items():
            total, ratios = objective.total(logprobs, batch)
            part = objective.weight * total / counts[name].clamp(min=1)
            loss = loss + part
            for label, (value, count) in {f"loss/{name}": (part, part * 0), **ratios}.items():
                both = torch.stack([value.detach().float(), count.detach().float()])
                report[label] = report.get(label, torch.zeros_like(both)) + both
        # DDP averages gradients over processes, but the counts are already over all of them.
        accelerator.backward(loss * accelerator.num_processes)
    return readable(accelerator, report)


def step_count(accelerator: Accelerator, objective: Objective, batches: Sequence[Batch]) -> Tensor:
    """The objective's denominator over all micro-batches and processes of this step."""
    local = torch.stack([objective.count(batch) for batch in batches]).sum().float()
    return accelerator.reduce(local, reduction="sum")


def readable(accelerator: Accelerator, report: dict[str, Tensor]) -> dict[str, float]:
    """Floats over all processes: losses add up to `loss`, of what else is reported the ratio of sum and count."""
    both = {name: accelerator.reduce(values, reduction="sum").tolist() for name, values in report.items()}
    losses = {name: value for name, (value, _) in both.items() if name.startswith("loss/")}
    means = {name: value / max(count, 1.0) for name, (value, count) in both.items() if name not in losses}
    return {"loss": sum(losses.values()), **losses, **means}
