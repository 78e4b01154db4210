"""DPO with guidance from a token reward (TGDPO, Zhu et al., ICML 2025, arXiv 2506.14574): a log-ratio counts for more
where the token reward r̂ agrees with it.

    − log σ(Σ_t β (1 + α β r̂_t) ℓ_t(rewrite) − Σ_t β (1 − α β r̂_t) ℓ_t(sample)),   r̂ = log π_dpo − log π_ref

Worked example, α = 0.5 and β = 0.1, one token each: ℓ = 2 and r̂ = 4 in the rewrite, ℓ = −1 and r̂ = −4 in the sample.
0.1 · (1 + 0.2) · 2 = 0.24, and 0.1 · (1 + 0.2) · (−1) = −0.12: the margin is 0.36, the loss −log σ(0.36) = 0.529.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.batch import Batch
from models.objectives import pairwise

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective(pairwise.WithAlpha):
    """alpha: how much the token reward counts."""

    needs: ClassVar[frozenset[str]] = frozenset({"pairs", "pair_rewards"})

    def token_weights(self, batch: Batch) -> Tensor:
        guidance = self.alpha * self.beta * batch.score("reward")
        return 1 + guidance.where(~batch.is_sample[:, None], -guidance)
