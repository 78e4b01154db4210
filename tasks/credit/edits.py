"""Credit by the edits of the accepted rewrite: what it replaced or deleted costs 1, all else nothing.

    R_t = −1 where the rewrite replaced or deleted y_t, else 0; 0 in a right sample and in one without a rewrite

The sequence-level supervision of edit-based methods as a token reward; a control for recipe rlmec.
"""

from collections.abc import Iterator

from tasks.credit import Request, TokenCredit
from tasks.parts import NoOptions
from tasks.records import read_table

NEEDS = ("edits",)


def credit(options: NoOptions, request: Request) -> Iterator[TokenCredit]:
    """inputs: edits (table). Yields one TokenCredit a sample; nothing is loaded."""
    edited = dict(read_table("edits", request.inputs["edits"], ["sample_id", "sample_edited"]).iter_rows())
    for row, sample in enumerate(request.samples):
        marks = edited.get(sample["sample_id"]) or [False] * len(sample["completion_ids"])
        yield TokenCredit(row, [-1.0 if mark else 0.0 for mark in marks])
