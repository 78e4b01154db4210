"""Token rewards from the GRM's token probabilities (RLMEC, arXiv 2401.06081, equation 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.deferred import torch

if TYPE_CHECKING:
    from torch import Tensor


def token_rewards(
    probabilities: Tensor,
    is_right: bool | Tensor,
    beta: float = 0.5,
    ceiling: float = 0.5,
    floor: float = -0.1,
) -> Tensor:
    """R_t = clip(p_t − β, 0, ceiling) in a right sample, clip(p_t − β, floor, 0) in a wrong one.

    probabilities: (..., T) in 0..1. is_right: one bool, or a bool tensor that broadcasts against it, such as
    (B, 1). Returns (..., T) of the same type. Raises ValueError where a probability is outside 0..1 or NaN.
    """
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise ValueError("token probabilities must lie in 0..1")
    margin = probabilities - beta
    right = torch.as_tensor(is_right, device=probabilities.device)
    return torch.where(right, margin.clamp(0.0, ceiling), margin.clamp(floor, 0.0))
