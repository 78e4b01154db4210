"""Stage `align`: the exact token edits from each sample to its accepted rewrite (Levenshtein, unit costs).

Worked example, letters for token ids:

    sample   [a, x, b]      edit_operations → [("delete", 1, 1)]
    rewrite  [a, b]         edited_tokens   → [False, True]

A deletion has no token in the rewrite. The kept token after it is where the policy must choose differently, so by
default `b` counts as edited; a deletion at the very end marks nothing.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, cast

import polars as pl
from pydantic import BaseModel, Field
from rapidfuzz.distance import Levenshtein

from tasks.progress import Log, silent
from tasks.records import accepted_rewrites, count, rewritten_samples, table
from tasks.work import ALONE, Span, Work

PAIRS_AT_ONCE = 10_000  # pairs in a shard: as Python lists they take some fifty times the memory of a table


# One edit: its kind, `source`, its position in the sample, and `target`, its position in the rewrite. A replacement
# changes sample[source] into rewrite[target]; an insertion puts rewrite[target] before sample[source]; a deletion
# removes sample[source], which would stand before rewrite[target]. A plain tuple, as rapidfuzz has it: a class of our
# own would cost a fifth of the time.
EditOp = tuple[Literal["replace", "insert", "delete"], int, int]


def edit_operations(sample_ids: Sequence[int], rewrite_ids: Sequence[int]) -> list[EditOp]:
    """A shortest list of edits that turns one sequence of token ids into the other, in order."""
    edits = Levenshtein.editops(sample_ids, rewrite_ids).as_list()
    return cast(list[EditOp], edits)  # rapidfuzz's types call them by a class of its own


def edited_tokens(sample_ids: Sequence[int], rewrite_ids: Sequence[int], mark_after_delete: bool = True) -> list[bool]:
    """For each rewrite token, whether it was replaced, inserted, or (by default) follows a deletion."""
    return rewrite_edited(edit_operations(sample_ids, rewrite_ids), len(rewrite_ids), mark_after_delete)


def rewrite_edited(operations: Sequence[EditOp], length: int, mark_after_delete: bool) -> list[bool]:
    """Marks on the rewrite's tokens, (length,)."""
    edited = [False] * length
    for kind, _, target in operations:
        if kind != "delete" or (mark_after_delete and target < length):
            edited[target] = True
    return edited


def sample_edited(operations: Sequence[EditOp], length: int) -> list[bool]:
    """Marks on the sample's tokens, (length,): those replaced or deleted."""
    edited = [False] * length
    for kind, source, _ in operations:
        if kind != "insert":
            edited[source] = True
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
    pairs = count(accepted_rewrites(inputs["rewrites"], ["sample_id"]))
    make = partial(align_shard, options, inputs)
    log(figures(work.table(out / "edits.parquet", pairs, PAIRS_AT_ONCE, make, "align", log)))


def align_shard(options: AlignOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """The edits of a span of the accepted rewrites."""
    pairs = rewritten_samples(inputs, ["completion_ids"], span)
    rows = (
        edits_row(sample_id, sample_ids, rewrite_ids, options.mark_after_delete)
        for sample_id, rewrite_ids, _, sample_ids in pairs.iter_rows()
    )
    return table("edits", list(rows))


def figures(edits: pl.LazyFrame) -> dict[str, float]:
    """What the stage logs: edits by kind, and the share of the rewrites' tokens that they mark."""
    kinds, marks = pl.col("kinds").list, pl.col("rewrite_edited").list
    found = (
        edits.select(kinds.count_matches(kind).sum().alias(kind) for kind in ("replace", "insert", "delete"))
        .collect(engine="streaming")
        .row(0, named=True)
    )
    pairs, edited, tokens = (
        edits.select(pl.len(), marks.sum().sum().alias("edited"), marks.len().sum().alias("tokens"))
        .collect(engine="streaming")
        .row(0)
    )
    return {
        "pairs": pairs,
        "edits_per_pair": sum(found.values()) / max(pairs, 1),
        **{f"edits/{kind}": number for kind, number in found.items()},
        "edited_share": edited / max(tokens, 1),
    }


def edits_row(
    sample_id: str, sample_ids: Sequence[int], rewrite_ids: Sequence[int], mark_after_delete: bool
) -> dict[str, object]:
    """A row of the edits table."""
    operations = edit_operations(sample_ids, rewrite_ids)
    return {
        "sample_id": sample_id,
        "kinds": [kind for kind, _, _ in operations],
        "source_positions": [source for _, source, _ in operations],
        "target_positions": [target for _, _, target in operations],
        "sample_edited": sample_edited(operations, len(sample_ids)),
        "rewrite_edited": rewrite_edited(operations, len(rewrite_ids), mark_after_delete),
    }
