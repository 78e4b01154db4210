"""Weighted negative log-likelihood: Σ_t w_t · (−log π(z_t)) / #{t : w_t ≠ 0}.

The imitation term of RLMEC (arXiv 2401.06081, equation 6: w = 1 on edited tokens, 0.5 on the others), and with
w = 1 everywhere plain supervised fine-tuning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.batch import Batch
from models.objectives import Reports, require_not_negative

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective:
    needs: ClassVar[frozenset[str]] = frozenset({"imitation"})
    weight: float = 1.0

    def __post_init__(self) -> None:
        require_not_negative(weight=self.weight)

    def count(self, batch: Batch) -> Tensor:
        return (batch.score("weight") != 0).sum()

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        return -(batch.score("weight") * logprobs).sum(), {}
