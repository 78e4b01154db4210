"""The policy gradient with bounds that depend on how likely a token was (DCPO, Yang et al., arXiv 2509.02333): what
was unlikely may change by more.

    (1 + √max(0, 1 − 4 ε_l/q)) / 2  ≤  ρ  ≤  min(10, (1 + √(1 + 4 ε_h/q)) / 2),   q = π_ref(y_t)

They follow from |ρ − 1| ρ q ≤ ε. Worked example, ε_l = 0.16 and ε_h = 0.2. A token of q = 0.9: √(1 − 0.711) = 0.537, so
ρ ≥ 0.769; √(1 + 0.889) = 1.374, so ρ ≤ 1.187. One of q = 0.01: 4 · 0.16 / 0.01 > 1, so ρ ≥ 0.5; √81 = 9, so ρ ≤ 5.
"""

from dataclasses import dataclass

from models.batch import Batch
from models.objectives import policy_gradient, require_not_negative
from models.objectives.policy_gradient import Bounds


@dataclass(frozen=True)
class Objective(policy_gradient.Objective):
    """low, high: ε_l and ε_h. largest: no ratio counts for more. `clip` has no meaning here."""

    surrogate: policy_gradient.Surrogate = "ppo"
    normalisation: policy_gradient.Normalisation = "sequences"
    low: float = 0.16
    high: float = 0.2
    largest: float = 10.0

    def __post_init__(self) -> None:
        require_not_negative(weight=self.weight)
        if self.low <= 0 or self.high <= 0 or self.largest <= 1:
            raise ValueError("low and high must be greater than 0, and largest greater than 1")

    def bounds(self, batch: Batch) -> Bounds:
        sampling = batch.reference_logprobs.exp()
        low = (1 + (1 - 4 * self.low / sampling).clamp(min=0).sqrt()) / 2
        high = (1 + (1 + 4 * self.high / sampling).sqrt()) / 2
        return low, high.clamp(max=self.largest)
