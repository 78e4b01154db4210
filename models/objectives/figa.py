"""Weighted negative log-likelihood that pushes away only what the policy still finds likely (FIGA, Guo et al., arXiv
2311.04072, and the authors' code RUCAIBox/FIGA).

    Σ_t w_t · (−log π(y_t)) / #{t : w_t ≠ 0},  and a token with w_t < 0 has no term once −log π(y_t) > limit

Worked example, limit = 0.6: a rewrite's edited token (w = 1) with π = 0.5 adds 0.693, a sample's edited one (w = −0.5)
with π = 0.8 adds −0.5 · 0.223 = −0.112, and another of π = 0.5 nothing, since 0.693 > 0.6: 0.582 / 3 = 0.194.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.batch import Batch
from models.objectives import Reports, require_positive, weighted_nll

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective(weighted_nll.Objective):
    """limit: in nats; 0.6 is a probability of 0.55."""

    limit: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(limit=self.limit)

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        weights = batch.score("weight")
        rejected = weights < 0
        gone = rejected & (-logprobs.detach() > self.limit)
        terms = -(weights * logprobs).masked_fill(gone, 0.0)
        return terms.sum(), {"rejected_unlikely": (gone.sum(), rejected.sum())}
