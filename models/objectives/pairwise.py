"""Direct preference optimisation (Rafailov et al., arXiv 2305.18290, equation 7): a pair's rewrite is preferred over
its sample.

    − log σ(β (Σ_t ℓ_t(rewrite) − Σ_t ℓ_t(sample))),   ℓ_t = log π(y_t) − log π_ref(y_t),   divided by the pairs

Worked example, β = 0.1: the rewrite became 3 nats likelier than under the reference and the sample 2 nats less
likely. The margin is 0.1 · (3 + 2) = 0.5, the loss −log σ(0.5) = 0.474.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.batch import Batch
from models.deferred import torch
from models.objectives import Reports, require_not_negative, require_positive

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """beta: how much a nat of log-ratio counts."""

    needs: ClassVar[frozenset[str]] = frozenset({"pairs"})
    beta: float = 0.1
    weight: float = 1.0

    def __post_init__(self) -> None:
        require_not_negative(weight=self.weight)
        require_positive(beta=self.beta)

    def count(self, batch: Batch) -> Tensor:
        return torch.tensor(len(batch.pairs), device=batch.tokens.device)

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        margins = self.margins(logprobs, batch)
        count = self.count(batch)
        ordered = (margins.detach() > 0).sum()
        return -torch.nn.functional.logsigmoid(margins).sum(), {
            "pairs_ordered": (ordered, count),
            "pair_margin": (margins.detach().sum(), count),
        }

    def margins(self, logprobs: Tensor, batch: Batch) -> Tensor:
        """How far each pair's preferred half is ahead, (P,)."""
        log_ratios = (logprobs - batch.reference_logprobs) * batch.completion * self.token_weights(batch)
        preferred, rejected = log_ratios.sum(1)[batch.pairs].unbind(1)
        return self.beta * (preferred - rejected)

    def token_weights(self, batch: Batch) -> Tensor | float:
        """How much each token's log-ratio counts, (B, T) or the same for all."""
        return 1.0


@dataclass(frozen=True)
class WithAlpha(Objective):
    """For objectives that add to the pairs: alpha is how much that counts."""

    alpha: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        require_not_negative(alpha=self.alpha)
