"""Credit by the policy itself: a token's own probability in the place of the GRM's. A control for recipe rlmec.

p_t = π_ref(y_t | prompt, y_<t), and R_t from it as in `grm`
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tasks.credit import TokenCredit, grm
from tasks.credit._ratios import examples_of, logprobs_of

NEEDS = ()
Options = grm.Options


def credit(
    options: Options,
    inputs: Mapping[str, Path],
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    at: torch.device,
) -> Iterator[TokenCredit]:
    """inputs: policy (folder). samples: rows. Yields one TokenCredit a sample."""
    for row, logprobs in enumerate(logprobs_of(inputs["policy"], examples_of(samples), batch_size, at)):
        yield grm.rewarded(options, row, logprobs, samples[row]["is_right"])
