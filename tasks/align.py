"""Stage `align`: the exact token edits from each sample to its accepted rewrite (Levenshtein, unit costs).

Worked example, letters for token ids:

    sample   [a, x, b]      edit_operations → [delete x (source 1, target 1)]
    rewrite  [a, b]         edited_tokens   → [False, True]

A deletion has no token in the rewrite. The kept token after it is where the policy must choose differently, so by
default `b` counts as edited; a deletion at the very end marks nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field
from rapidfuzz.distance import Levenshtein

from tasks.progress import Log, silent, track
from tasks.records import mean, rewritten_samples, table, write_table
from tasks.work import ALONE, Work

PAIRS_AT_ONCE = 10_000  # as Python lists; the tables around them take a fiftieth of the memory


class EditOp(NamedTuple):
    """One edit: `source` is its position in the sample, `target` its position in the rewrite.

    A replacement changes sample[source] into rewrite[target]; an insertion puts rewrite[target] before
    sample[source]; a deletion removes sample[source], which would stand before rewrite[target].
    """

    kind: Literal["replace", "insert", "delete"]
    source: int
    target: int


def edit_operations(sample_ids: Sequence[int], rewrite_ids: Sequence[int]) -> list[EditOp]:
    """A shortest list of edits that turns one sequence of token ids into the other, in order."""
    return [EditOp._make(operation) for operation in Levenshtein.editops(sample_ids, rewrite_ids).as_list()]


def edited_tokens(sample_ids: Sequence[int], rewrite_ids: Sequence[int], mark_after_delete: bool = True) -> list[bool]:
    """For each rewrite token, whether it was replaced, inserted, or (by default) follows a deletion."""
    return rewrite_edited(edit_operations(sample_ids, rewrite_ids), len(rewrite_ids), mark_after_delete)


def rewrite_edited(operations: Sequence[EditOp], length: int, mark_after_delete: bool) -> list[bool]:
    """Marks on the rewrite's tokens, (length,)."""
    edited = [False] * length
    for operation in operations:
        if operation.kind != "delete" or (mark_after_delete and operation.target < length):
            edited[operation.target] = True
    return edited


def sample_edited(operations: Sequence[EditOp], length: int) -> list[bool]:
    """Marks on the sample's tokens, (length,): those replaced or deleted."""
    edited = [False] * length
    for operation in operations:
        if operation.kind != "insert":
            edited[operation.source] = True
    return edited


class AlignOptions(BaseModel, extra="forbid", frozen=True):
    mark_after_delete: bool = Field(True, description="the kept token after a deletion counts as edited")


def align(
    options: AlignOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: samples, rewrites. Writes edits, a row for each accepted rewrite. Nothing here is random."""
    pairs = rewritten_samples(inputs, ["completion_ids"])
    rows = (
        edits_row(sample_id, sample_ids, rewrite_ids, options.mark_after_delete)
        for sample_id, rewrite_ids, _, sample_ids in track(pairs.iter_rows(), "align", len(pairs), "pairs")
    )
    edits = table("edits", [])
    while part := list(islice(rows, PAIRS_AT_ONCE)):
        edits.extend(table("edits", part))
    write_table(edits, "edits", out / "edits.parquet")
    kinds = edits["kinds"].explode().drop_nulls()
    log(
        {
            "pairs": len(edits),
            "edits_per_pair": len(kinds) / max(len(edits), 1),
            **{f"edits/{kind}": int((kinds == kind).sum()) for kind in ("replace", "insert", "delete")},
            "edited_share": mean(edits["rewrite_edited"].explode()),
        }
    )


def edits_row(
    sample_id: str, sample_ids: Sequence[int], rewrite_ids: Sequence[int], mark_after_delete: bool
) -> dict[str, object]:
    """A row of the edits table."""
    operations = edit_operations(sample_ids, rewrite_ids)
    return {
        "sample_id": sample_id,
        "kinds": [operation.kind for operation in operations],
        "source_positions": [operation.source for operation in operations],
        "target_positions": [operation.target for operation in operations],
        "sample_edited": sample_edited(operations, len(sample_ids)),
        "rewrite_edited": rewrite_edited(operations, len(rewrite_ids), mark_after_delete),
    }
