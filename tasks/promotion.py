"""Whether a candidate takes the champion's place: only if it is better beyond chance, and nowhere worse beyond chance.

Worked example at level 0.05: of all benchmarks' problems the candidate alone solves 60 and the champion alone 40. Were
they equally good, so uneven a split or worse would come with probability 0.057 (exact McNemar): the champion stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.intervals import mcnemar


@dataclass(frozen=True)
class Decision:
    """`p` is that of all benchmarks' problems together."""

    promoted: bool
    reason: str
    p: float


def decide(comparison: Sequence[Mapping[str, Any]], level: float) -> Decision:
    """comparison: rows of the table of stage `compare_predictions`, the candidate first, the champion second."""
    gained, lost = (sum(row[name] for row in comparison) for name in ("only_first", "only_second"))
    p = mcnemar(gained, lost)
    counts = f"solves {gained} problems that the champion does not, and misses {lost} that it solves (p = {p:.2g})"
    worse = [row for row in comparison if row["difference"] < 0 and row["p_mcnemar"] < level]
    if worse:
        row = min(worse, key=lambda row: row["p_mcnemar"])
        points = f"{100 * row['difference']:+.1f} points, p = {row['p_mcnemar']:.2g}"
        return Decision(False, f"it is worse on {row['benchmark']} ({points})", p)
    if gained > lost and p < level:
        return Decision(True, f"it {counts}", p)
    return Decision(False, f"it is not better at level {level:g}: it {counts}", p)
