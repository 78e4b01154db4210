"""What the three training stages share: endless shuffled draws of examples, and a training run that shows its
progress, logs its numbers and goes on from its last checkpoint."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from models import processes
from models.batch import Example
from models.checkpoints import Stateful
from models.deferred import torch
from models.loop import NotEnoughMemoryError, NotFiniteError, Optimisation, train
from models.objectives import Objective, weighted_nll
from tasks.errors import DivergedError, UserError
from tasks.progress import Log, counting
from tasks.records import derive_seed
from tasks.work import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel

T = TypeVar("T")
KEPT = 16_384  # examples, of a kilobyte to ten
IMITATION: Mapping[str, Objective] = {"weighted_nll": weighted_nll.Objective()}


def imitated(prompt: list[int], completion: list[int], weight: float = 1.0) -> Example:
    """A completion to imitate, every token of it with the same weight."""
    return Example(prompt, completion, {"weight": [weight] * len(completion)})


def shuffled_cycle(items: Sequence[T], seed: int) -> Iterator[T]:
    """Every item once in a random order, then all again in another, for ever."""
    if not items:
        raise ValueError("nothing to draw from")
    draw = random.Random(seed)
    order = list(items)
    while True:
        draw.shuffle(order)
        yield from order


class Made(Sequence[Example]):
    """Examples that `make` makes of rows when a batch draws them: all at once they would take more memory than the
    tables that they are made of. The latest are kept, so that those of a small table are made once."""

    def __init__(self, rows: int, make: Callable[[int], Example]) -> None:
        self.rows, self.make = range(rows), lru_cache(maxsize=KEPT)(make)

    def __getitem__(self, row: Any) -> Any:
        return self.make(self.rows[row])

    def __len__(self) -> int:
        return len(self.rows)


def batches(examples: Sequence[Example], size: int, seed: int) -> Iterator[list[Example]]:
    """Endless batches of `size` examples; each example comes once a pass."""
    cycle = shuffled_cycle(range(len(examples)), seed)
    while True:
        yield [examples[row] for row in islice(cycle, size)]


class History:
    """What a training run has logged, kept in its checkpoints: a resumed run logs all of it again."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.entries: list[tuple[int, dict[str, float]]] = []

    def __call__(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if step is not None:
            self.entries.append((step, dict(metrics)))
        self.log(metrics, step)

    @property
    def tokens(self) -> float:
        """The tokens of all updates so far."""
        return sum(metrics.get("tokens", 0) for _, metrics in self.entries)

    def state_dict(self) -> dict[str, Any]:
        return {"entries": self.entries}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for step, metrics in state_dict["entries"]:
            self(metrics, step)


@contextmanager
def telling(label: str) -> Iterator[None]:
    """Tell the user what to do where memory does not suffice, or training diverges."""
    try:
        yield
    except NotFiniteError as error:
        raise DivergedError(f"training diverged ({error}): lower {label}.optimisation.learning_rate") from error
    except NotEnoughMemoryError as error:
        raise UserError(
            f"{error} (try optimisation.gradient_checkpointing=true, optimisation.precision=bf16, a lora, a smaller "
            "optimisation.micro_batch_tokens, or execution.sharded=true on several GPUs)"
        ) from error


def fit(
    model: PreTrainedModel,
    steps: Iterator[list[Example]],
    updates: int,
    objectives: Mapping[str, Objective],
    optimisation: Optimisation,
    label: str,
    history: History,
    work: Work,
    seed: int,
    also: Sequence[Stateful] = (),
    reference: PreTrainedModel | None = None,
    longest: Example | None = None,
) -> Iterator[int]:
    """Train for at most `updates` updates, logging each; yields the number done after each, so that the caller
    may look at the model and stop. Goes on after the newest checkpoint; logs updates_resumed. Dropout, where there is
    some, is drawn from `seed`. `reference` is for objectives that measure the drift from it; `longest` is the longest
    example, which is tried first. UserError where memory does not suffice for it, DivergedError where an update would
    make the weights no numbers."""
    torch.manual_seed(derive_seed(seed, "dropout", processes.rank()))  # whatever this process has drawn before
    reports = train(model, steps, updates, objectives, optimisation, work.checkpoints, [history, *also], reference,
                    longest, work.sharded)  # fmt: skip
    with telling(label), counting(label, updates, "updates") as counter:
        for done, report in reports:
            if done > counter.done + 1:
                counter.skip(done - 1)
                history({"updates_resumed": done - 1})
            history(report, done)
            counter.advance()
            yield done
