"""Credit relative to the group: how much better a sample did than its problem's samples on average, for all its tokens.

    A = (r − mean) / (std + 1e-4),   r = 1 in a right sample, 0 in a wrong one; mean and std (n − 1) over the problem

GRPO's advantage under outcome supervision (Shao et al., DeepSeekMath, arXiv 2402.03300). A problem whose samples are
all right or all wrong gives no credit. The samples table holds no text of a problem twice, so what was sampled several
times counts once.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from tasks.credit import TokenCredit
from tasks.credit._groups import groups, scale

NEEDS = ()
LEAST_SAMPLES = 2


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
    """inputs: samples (the whole table). samples: rows. Yields one TokenCredit a sample; nothing is loaded."""
    everyone, members = groups(inputs["samples"], samples)
    for row, member in enumerate(members):
        mean, deviation = scale([everyone[other]["outcome"] for other in member.group])
        advantage = (everyone[member.place]["outcome"] - mean) / deviation
        yield TokenCredit(row, [advantage] * len(samples[row]["completion_ids"]))
