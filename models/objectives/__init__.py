"""What a training step minimises: one file an objective, its name is its key.

A module `models/objectives/<name>.py` has one frozen dataclass, `Objective`: its fields are its settings. `weight`
is its coefficient in the loss, `needs` says what the examples must have for it:

    "imitation"   the score "weight" on completions to imitate
    "rewards"     the score "reward" and reference log-probabilities on samples
    "pairs"       a sample and its accepted rewrite, both with reference log-probabilities
    "pair_rewards" the score "reward" on both halves of a pair
    "reference"   the score "kl", KL(π_ref ‖ π) at each completion token, for which the loop runs the reference as well

Each is a sum over tokens (or pairs) and the count that divides it, so that a step may be split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

from models.batch import Batch

if TYPE_CHECKING:
    from torch import Tensor

Reports: TypeAlias = "Mapping[str, tuple[Tensor, Tensor]]"


class Objective(Protocol):
    """A part of the loss. The loop divides `total` by `count`, both over the whole optimiser step."""

    needs: ClassVar[frozenset[str]]

    @property
    def weight(self) -> float: ...

    def count(self, batch: Batch) -> Tensor:
        """How many terms of this micro-batch the objective's denominator counts: a scalar."""

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        """The summed loss of this micro-batch, and what is worth reporting: a sum and a count by name, whose ratio
        over the whole step is shown. logprobs: (B, T)."""


def require_not_negative(**settings: float) -> None:
    """ValueError that names a setting which is negative or no number."""
    for name, value in settings.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must not be negative")


def require_positive(**settings: float) -> None:
    """ValueError that names a setting which is 0, negative or no number."""
    for name, value in settings.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be greater than 0")
