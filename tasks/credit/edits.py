"""Credit by the edits of the accepted rewrite: what it replaced or deleted costs 1, all else nothing.

    R_t = −1 where the rewrite replaced or deleted y_t, else 0; 0 in a right sample and in one without a rewrite

The sequence-level supervision of edit-based methods as a token reward; a control for recipe rlmec.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from tasks.credit import TokenCredit
from tasks.records import read_table

NEEDS = ("edits",)


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
    """inputs: edits (table). samples: rows. Yields one TokenCredit a sample; nothing is loaded."""
    edited = dict(read_table("edits", inputs["edits"], ["sample_id", "sample_edited"]).iter_rows())
    for row, sample in enumerate(samples):
        marks = edited.get(sample["sample_id"]) or [False] * len(sample["completion_ids"])
        yield TokenCredit(row, [-1.0 if mark else 0.0 for mark in marks])
