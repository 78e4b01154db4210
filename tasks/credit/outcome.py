"""Credit by the outcome alone: every token of a sample earns what its final answer earned.

    R_t = right in a right sample, wrong in a wrong one (by default +1 and −1)

The instance-level reward that RLMEC's paper compares with (arXiv 2401.06081, "vanilla PPO").
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field

from tasks.credit import TokenCredit

NEEDS = ()


class Options(BaseModel, extra="forbid", frozen=True):
    right: float = Field(1.0, description="reward of every token of a right sample")
    wrong: float = Field(-1.0, description="reward of every token of a wrong sample")


def credit(
    options: Options,
    inputs: Mapping[str, Path],
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    at: torch.device,
) -> Iterator[TokenCredit]:
    """samples: rows. Yields one TokenCredit a sample; nothing is loaded."""
    for row, sample in enumerate(samples):
        reward = options.right if sample["is_right"] else options.wrong
        yield TokenCredit(row, [reward] * len(sample["completion_ids"]))
