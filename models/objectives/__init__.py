"""What a training step minimises: one file an objective, each a sum over tokens and the count that divides it."""

from typing import Protocol

from torch import Tensor

from models.batch import Batch


class Objective(Protocol):
    """A part of the loss. The loop divides `total` by `count`, both over the whole optimiser step."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float: ...

    def count(self, batch: Batch) -> Tensor:
        """How many terms of this micro-batch the objective's denominator counts: a scalar."""

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The summed loss of this micro-batch, and sums worth reporting (divided by the completion tokens of
        the samples). logprobs: (B, T)."""
