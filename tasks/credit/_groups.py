"""The samples of a problem as a group, for credit that compares them with each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tasks.records import read_table

EPSILON = 1e-4  # beside the deviation, as TRL has it: where all outcomes are equal the advantage is 0


def groups(samples: Path, rows: Sequence[Mapping[str, object]], *columns: str) -> dict[str, pl.DataFrame]:
    """The samples table's rows (outcome: 1 right, 0 wrong, and these columns) of each problem that `rows` are about,
    whichever shard they stand in."""
    frame = read_table("samples", samples, ["problem_id", "is_right", *columns])
    asked = frame.filter(pl.col("problem_id").is_in({str(row["problem_id"]) for row in rows}))
    outcomes = asked.select("problem_id", *columns, outcome=pl.col("is_right").cast(pl.Float64))
    return {str(key): group for (key,), group in outcomes.group_by("problem_id", maintain_order=True)}


def scale(group: pl.DataFrame) -> tuple[float, float]:
    """Mean of a group's outcomes, and their standard deviation (n − 1) plus a little; of one sample it is 0."""
    outcomes = group["outcome"]
    return float(outcomes.mean() or 0.0), float(outcomes.std() or 0.0) + EPSILON  # type: ignore[arg-type]
