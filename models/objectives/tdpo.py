"""Token-level direct preference optimisation, its second form (Zeng et al., arXiv 2404.11999): as `pairwise`, but a
pair also pays for letting the rejected half's distributions drift from the reference further than the preferred half's.

    − log σ(β (Σ ℓ_t(rewrite) − Σ ℓ_t(sample) − α (KL(sample) − sg KL(rewrite))))
    KL(y) = Σ_t KL(π_ref(· | y_<t) ‖ π(· | y_<t))

Worked example, β = 0.1 and α = 0.5, on that of `pairwise`: the log-ratios differ by 5 nats. The distributions along
the sample have drifted by 3 nats in all, those along the rewrite by 1: the margin is 0.1 · (5 − 0.5 · (3 − 1)) = 0.4,
the loss −log σ(0.4) = 0.513.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.batch import Batch
from models.logprobs import KL
from models.objectives import pairwise

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective(pairwise.WithAlpha):
    """alpha: how much a nat of drift counts."""

    needs: ClassVar[frozenset[str]] = frozenset({"pairs", "reference"})

    def margins(self, logprobs: Tensor, batch: Batch) -> Tensor:
        preferred, rejected = batch.score(KL).sum(1)[batch.pairs].unbind(1)
        return super().margins(logprobs, batch) - self.beta * self.alpha * (rejected - preferred.detach())
