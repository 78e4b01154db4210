"""Weighted negative log-likelihood: Σ_t w_t · (−log π(z_t)) / #{t : w_t ≠ 0}.

The imitation term of RLMEC (arXiv 2401.06081, equation 6: w = 1 on edited tokens, 0.5 on the others), and with
w = 1 everywhere plain supervised fine-tuning.
"""

from dataclasses import dataclass

from torch import Tensor

from models.batch import Batch


@dataclass(frozen=True)
class WeightedNLL:
    weight: float = 1.0
    name: str = "imitation"

    def count(self, batch: Batch) -> Tensor:
        return (batch.weights != 0).sum()

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return -(batch.weights * logprobs).sum(), {}
