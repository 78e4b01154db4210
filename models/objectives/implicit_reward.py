"""A model whose log-ratio to the policy tells right samples from wrong ones (implicit process reward model, Yuan et
al., arXiv 2412.01981; used by PRIME, arXiv 2502.01456). It is trained to give credit, not to solve problems.

    − [o log σ(β Σ_t ℓ_t) + (1 − o) log(1 − σ(β Σ_t ℓ_t))] / samples,   ℓ_t = log π_φ(y_t) − log π_ref(y_t)

o is 1 in a right sample and 0 in a wrong one.

Worked example, β = 0.05: a wrong sample became 4 nats likelier than under the policy. σ(0.2) = 0.55, the loss
−log 0.45 = 0.798.
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

    needs: ClassVar[frozenset[str]] = frozenset({"rewards"})
    beta: float = 0.05
    weight: float = 1.0

    def __post_init__(self) -> None:
        require_not_negative(weight=self.weight)
        require_positive(beta=self.beta)

    def count(self, batch: Batch) -> Tensor:
        return batch.is_sample.sum()

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        log_ratios = ((logprobs - batch.reference_logprobs) * batch.sampled).sum(1)[batch.is_sample]
        outcomes = batch.is_right[batch.is_sample]
        logits = self.beta * log_ratios
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, outcomes.to(logits.dtype), reduction="sum")
        told = ((logits.detach() > 0) == outcomes).sum()
        return loss, {"outcomes_told": (told, self.count(batch))}
