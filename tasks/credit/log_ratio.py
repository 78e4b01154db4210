"""Credit by a tuned model: how much likelier than the policy it finds a token.

    R_t = log π_φ(y_t) − log π_ref(y_t)

With π_φ trained by DPO this is the token reward that DPO implies (Rafailov et al., arXiv 2404.12358), up to its β; with
π_φ from `models/objectives/implicit_reward.py` an implicit process reward (Yuan et al., arXiv 2412.01981).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from tasks.credit import TokenCredit
from tasks.credit._ratios import log_ratios

NEEDS = ("credit_model",)


class Options(BaseModel, extra="forbid", frozen=True):
    pass


def credit(
    options: Options,
    inputs: Mapping[str, Path],
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    at: torch.device,
) -> Iterator[TokenCredit]:
    """inputs: credit_model and policy (folders). samples: rows. Yields one TokenCredit a sample."""
    for row, ratios in enumerate(log_ratios(inputs, samples, batch_size, at)):
        yield TokenCredit(row, ratios.tolist())
