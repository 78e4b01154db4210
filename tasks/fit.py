"""What the three training stages share: endless shuffled draws of examples, and a training run that shows its
progress and logs its numbers."""

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

from transformers import PreTrainedModel

from models.batch import Example
from models.loop import Optimisation, train
from models.objectives import Objective
from tasks.progress import Log, counting

T = TypeVar("T")


def imitated(prompt: list[int], completion: list[int], weight: float = 1.0) -> Example:
    """A completion to imitate, every token of it with the same weight."""
    return Example(prompt, completion, weights=[weight] * len(completion))


def shuffled_cycle(items: Sequence[T], seed: int) -> Iterator[T]:
    """Every item once in a random order, then all again in another, for ever."""
    if not items:
        raise ValueError("nothing to draw from")
    draw = random.Random(seed)
    order = list(items)
    while True:
        draw.shuffle(order)
        yield from order


def batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Endless batches of `size` examples; each example comes once a pass."""
    cycle = shuffled_cycle(examples, seed)
    while True:
        yield list(islice(cycle, size))


def fit(
    model: PreTrainedModel,
    steps: Iterator[list[Example]],
    updates: int,
    objectives: Sequence[Objective],
    optimisation: Optimisation,
    label: str,
    log: Log,
) -> Iterator[int]:
    """Train for at most `updates` updates, logging each; yields the number done after each, so that the caller
    may look at the model and stop."""
    reports = train(model, islice(steps, updates), updates, objectives, optimisation)
    with counting(label, updates, "updates") as counter:
        for done, report in enumerate(reports, start=1):
            log(report, done)
            counter.advance()
            yield done
