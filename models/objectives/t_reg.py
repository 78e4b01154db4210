"""DPO regularised by token rewards (T-REG, Zhou et al., arXiv 2412.02685): pairs whose order is still wrong also learn
from each token's own reward.

    − log σ(m) − α · sg[σ(−m)] · Σ_t β r̂_t log π(y_t) over both halves,   m = β (Σ ℓ_t(rewrite) − Σ ℓ_t(sample))

r̂ is in −0.5..0.5, from `tasks/credit/contrast.py`. σ(−m) = σ(r(sample) − r(rewrite)) with DPO's rewards r = β Σ ℓ_t.

Worked example, α = 0.5, β = 0.1, m = 0: log π is −2 at the only token with a reward, r̂ = 0.4. The loss is
0.693 + 0.5 · 0.5 · 0.1 · 0.4 · 2 = 0.713.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.batch import Batch
from models.objectives import Reports, pairwise

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective(pairwise.WithAlpha):
    """alpha: how much the token rewards count beside the pairs."""

    needs: ClassVar[frozenset[str]] = frozenset({"pairs", "pair_rewards"})

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        loss, reports = super().total(logprobs, batch)
        wrong_order = (-self.margins(logprobs, batch).detach()).sigmoid()
        both = (batch.score("reward") * logprobs).sum(1)[batch.pairs].sum(1)
        return loss - self.alpha * self.beta * (wrong_order * both).sum(), reports
