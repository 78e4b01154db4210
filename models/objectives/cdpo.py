"""DPO that rejects a sample mostly for its critical tokens (cDPO, Lin et al., arXiv 2411.19943): those that a model of
right samples finds unlikely beside a model of wrong ones.

    − log σ(β (Σ_t ℓ_t(rewrite) − Σ_t (1 − s_t) ℓ_t(sample))),   s_t from `tasks/credit/critical.py`

Worked example, β = 0.1: the rewrite became 3 nats likelier. Of the sample's two tokens, each a nat less likely, the
first is as good as any (s = 1) and the second critical (s = 0.2): the margin is 0.1 · (3 + 0.8) = 0.38, the loss 0.521.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.batch import Batch
from models.objectives import pairwise

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective(pairwise.Objective):
    needs: ClassVar[frozenset[str]] = frozenset({"pairs", "pair_rewards"})

    def token_weights(self, batch: Batch) -> Tensor:
        return 1 - batch.score("reward") * batch.is_sample[:, None]
