"""The token-level policy gradient of RLMEC (arXiv 2401.06081, equation 5) and two relatives.

With ratio ρ_t = π(y_t)/π_ref(y_t), token reward R_t and clip ε:

    stop-gradient      − sg[min(ρ_t R_t, clip(ρ_t, 1−ε, 1+ε) R_t)] · log π(y_t)      as the authors' code does
    ppo                − min(ρ_t R_t, clip(ρ_t, 1−ε, 1+ε) R_t)                       Schulman et al., 2017
    zero-outside-clip  as stop-gradient, but 0 where ρ_t has already passed the clip on the reward's side

With a stop-gradient weight a negative reward is never bounded: the weight stays at least (1−ε)|R| however small
the ratio has become. zero-outside-clip is the remedy.

Worked example: R = −0.1, ρ = 0.5, ε = 0.3. ρR = −0.05, clip(ρ) R = −0.07, so the weight is −0.07 (and the
gradient of the loss 0.07 on log π); under zero-outside-clip it is 0, since ρ is already below 0.7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from models.batch import Batch
from models.deferred import torch
from models.objectives import Reports, require_not_negative

if TYPE_CHECKING:
    from torch import Tensor

Bounds: TypeAlias = "tuple[float | Tensor, float | Tensor]"
Surrogate = Literal["stop-gradient", "ppo", "zero-outside-clip"]
Normalisation = Literal["nonzero", "tokens", "sequences"]


@dataclass(frozen=True)
class Objective:
    """clip: ε, how far the ratio may stray from 1. normalisation: divide by the tokens whose reward is not zero (the
    paper), by all tokens of samples, or, after the mean over its tokens was taken in each sample, by the samples.
    kl: what a nat of log π − log π_ref costs each token of a sample, as a part of its reward."""

    needs: ClassVar[frozenset[str]] = frozenset({"rewards"})
    clip: float = 0.3
    surrogate: Surrogate = "stop-gradient"
    normalisation: Normalisation = "nonzero"
    kl: float = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        require_not_negative(weight=self.weight, kl=self.kl)
        if not 0 < self.clip < 1:
            raise ValueError("clip must lie between 0 and 1")

    def bounds(self, batch: Batch) -> Bounds:
        """Between which values the ratio counts; tensors are (B, T)."""
        return 1 - self.clip, 1 + self.clip

    def count(self, batch: Batch) -> Tensor:
        if self.normalisation == "sequences":
            return batch.is_sample.sum()
        return batch.sampled.sum() if self.normalisation == "tokens" else (batch.score("reward") != 0).sum()

    def total(self, logprobs: Tensor, batch: Batch) -> tuple[Tensor, Reports]:
        rewards, bounds = batch.score("reward"), self.bounds(batch)
        if self.kl:
            drift = (logprobs.detach() - batch.reference_logprobs).masked_fill(~batch.sampled, 0.0)
            rewards = rewards - self.kl * drift
        terms = token_terms(logprobs, batch.reference_logprobs, rewards, bounds, self.surrogate)
        if self.normalisation == "sequences":
            terms = terms / batch.completion.sum(1, keepdim=True)
        return terms.sum(), reports(logprobs.detach(), batch, bounds)


def token_terms(
    logprobs: Tensor, reference_logprobs: Tensor, rewards: Tensor, bounds: Bounds, surrogate: Surrogate
) -> Tensor:
    """The loss term of each token, (B, T) in and out; exactly 0 where the reward is 0."""
    # Where the reward is 0 the ratio may be anything: it is masked before exp, since an infinite ratio times 0
    # is NaN in the gradient even where the term itself is masked afterwards.
    rewarded = rewards != 0
    ratio = torch.where(rewarded, logprobs - reference_logprobs, 0.0).exp()
    low, high = bounds
    clipped = within(ratio, bounds)
    weight = torch.minimum(ratio * rewards, clipped * rewards)
    if surrogate == "ppo":
        terms = -weight
    else:
        if surrogate == "zero-outside-clip":
            passed = ((rewards > 0) & (ratio > high)) | ((rewards < 0) & (ratio < low))
            weight = weight.masked_fill(passed, 0.0)
        terms = -weight.detach() * logprobs
    return torch.where(rewarded, terms, 0.0)


def within(ratio: Tensor, bounds: Bounds) -> Tensor:
    """The ratio, held between its bounds."""
    low, high = (torch.as_tensor(bound, dtype=ratio.dtype, device=ratio.device) for bound in bounds)
    return ratio.clamp(low, high)


def reports(logprobs: Tensor, batch: Batch, bounds: Bounds) -> Reports:
    """Means over the tokens of samples: reward, clipped tokens, and KL(π_ref ‖ π) by Schulman's k3 estimator.

    The samples are the reference's own, so it is this direction that they estimate; the other one's estimator
    would hold exp(−log ρ), which a wrong token's falling probability sends to thousands.
    """
    sampled, rewards = batch.sampled, batch.score("reward")
    log_ratio = (logprobs - batch.reference_logprobs).masked_fill(~sampled, 0.0)
    ratio = log_ratio.exp()
    clipped = (within(ratio, bounds) != ratio) & (rewards != 0)
    count = sampled.sum()
    return {
        "reward_mean": (rewards.sum(), count),
        "clipped_fraction": (clipped.sum(), count),
        "kl_to_reference": ((ratio - 1 - log_ratio).sum(), count),
    }
