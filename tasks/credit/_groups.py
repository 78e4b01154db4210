"""The samples of a problem as a group, for credit that compares them with each other."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.credit import Request
from tasks.records import read_table

EPSILON = 1e-4  # beside the deviation, as TRL has it: where all outcomes are equal the advantage is 0


@dataclass(frozen=True)
class Member:
    """A sample among its problem's: everyone[place] is itself, everyone[other] for other in group all of them."""

    place: int
    group: list[int]


def groups(request: Request, *columns: str) -> tuple[list[dict[str, Any]], list[Member]]:
    """Everyone: all samples of each problem that is asked about, whichever shard they stand in, with sample_id,
    problem_id, these columns and outcome (1.0 right, 0.0 wrong); and where each of the request's is among them."""
    rows = request.samples
    frame = read_table("samples", request.inputs["samples"], ["sample_id", "problem_id", "is_right", *columns])
    asked = frame.filter(pl.col("problem_id").is_in({row["problem_id"] for row in rows}))
    everyone = asked.with_columns(outcome=pl.col("is_right").cast(pl.Float64)).to_dicts()
    places, members = {}, defaultdict(list)
    for place, one in enumerate(everyone):
        places[one["sample_id"]] = place
        members[one["problem_id"]].append(place)
    return everyone, [Member(places[row["sample_id"]], members[row["problem_id"]]) for row in rows]


def scale(outcomes: Sequence[float]) -> tuple[float, float]:
    """Mean of a group's outcomes, and their standard deviation (n − 1) plus a little; of one sample it is 0."""
    deviation = statistics.stdev(outcomes) if len(outcomes) > 1 else 0.0
    return statistics.fmean(outcomes), deviation + EPSILON
