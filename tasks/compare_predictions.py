"""Stage `compare_predictions`: two models on the same problems, pair by pair.

Of 1000 problems both solve 700, only the first 40, only the second 60: the first is 2 points worse, and the exact
McNemar test says how often two equally good models would differ so (0.057). The interval of the difference is a
paired bootstrap's, over problems.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from tasks.errors import UserError
from tasks.intervals import bootstrap, mcnemar
from tasks.progress import Log, silent
from tasks.records import read_table
from tasks.work import ALONE, Work

COMPARISON = {
    "benchmark": pl.String,
    "problems": pl.Int64,
    "both_right": pl.Int64,
    "only_first": pl.Int64,
    "only_second": pl.Int64,
    "difference": pl.Float64,  # rate of the first minus rate of the second, over all completions
    "low": pl.Float64,  # its 95 % interval
    "high": pl.Float64,
    "p_mcnemar": pl.Float64,
}


class CompareOptions(BaseModel, extra="forbid", frozen=True):
    """Nothing to choose."""


def compare_predictions(
    options: CompareOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: predictions, against (tables of predictions). Writes comparison, a row a benchmark.

    With several completions a problem, a model solves it for McNemar's test where at least half of them are right.
    Raises UserError where the two tables are not about the same problems.
    """
    first, second = (scores(inputs[name]) for name in ("predictions", "against"))
    pairs = first.join(second, on=["benchmark", "problem_id"], how="full", suffix="_against", coalesce=True)
    alone = pairs.filter(pl.col("score").is_null() | pl.col("score_against").is_null())
    if len(alone):
        raise UserError(f"the two evaluations are not about the same problems: {len(alone)} are in one alone")
    rows = [
        compared(str(benchmark), group, seed)
        for (benchmark,), group in pairs.sort("problem_id").group_by("benchmark", maintain_order=True)
    ]
    pl.DataFrame(rows, schema=COMPARISON).sort("benchmark").write_parquet(out / "comparison.parquet")
    for row in rows:
        log({f"{name}/{row['benchmark']}": row[name] for name in ("difference", "low", "high", "p_mcnemar")})


def scores(predictions: Path) -> pl.DataFrame:
    """The share of right completions of each problem: (benchmark, problem_id, score)."""
    frame = read_table("predictions", predictions, ["benchmark", "problem_id", "is_right"])
    return frame.group_by("benchmark", "problem_id").agg(score=pl.col("is_right").mean())


def compared(benchmark: str, pairs: pl.DataFrame, seed: int) -> dict[str, Any]:
    """A row of the comparison table, from the pairs of scores of one benchmark."""
    differences = (pairs["score"] - pairs["score_against"]).to_list()
    first, second = pairs["score"] >= 0.5, pairs["score_against"] >= 0.5
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    low, high = bootstrap(differences, seed)
    return {
        "benchmark": benchmark,
        "problems": len(pairs),
        "both_right": int((first & second).sum()),
        "only_first": only_first,
        "only_second": only_second,
        "difference": sum(differences) / len(differences),
        "low": low,
        "high": high,
        "p_mcnemar": mcnemar(only_first, only_second),
    }
