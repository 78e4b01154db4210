"""Where things stand in a picture: numbers in, coordinates out; the templates in `charts.html` draw them.

axis = Axis(0, 1, 60, 560)      0 lies at x = 60, 1 at x = 560
axis(0.5)                       310.0
axis.ticks(5)                   [(60.0, 0), (160.0, 0.2), …]
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

POINTS = 240  # of a curve; more of them cannot be told apart on a page


@dataclass(frozen=True)
class Axis:
    """Maps low … high to the coordinates start … end; of an empty range everything lies in the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, about: int) -> list[tuple[float, float]]:
        """(coordinate, number) of about so many round numbers within the range."""
        if self.high <= self.low:
            return [(self(self.low), self.low)]
        least = (self.high - self.low) / about
        power = 10.0 ** math.floor(math.log10(least))
        step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs(step - least))
        first = math.ceil(self.low / step - 1e-9)
        count = math.floor(self.high / step + 1e-9) - first + 1
        return [(self(number), number) for number in (round((first + i) * step, 10) for i in range(count))]


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """The range of some numbers with a margin on both sides."""
    known = list(values)
    low, high = min(known), max(known)
    margin = share * (high - low) or abs(high) * share or 1.0
    return low - margin, high + margin


def thinned(points: Sequence[tuple[float, float]]) -> tuple[list[tuple[float, float]], int]:
    """At most POINTS of a curve, each the mean of so many in a row; and how many that are."""
    each = -(-len(points) // POINTS)
    groups = [points[start : start + each] for start in range(0, len(points), each)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups], each


def curve(points: Sequence[tuple[float, float]], title: str, unit: str, percent: bool = False) -> dict[str, Any]:
    """A line chart: a number over updates."""
    scale = 100.0 if percent else 1.0
    kept, each = thinned([(x, y * scale) for x, y in points])
    across = Axis(0, max(x for x, _ in points), 52, 330)
    low, high = padded(y for _, y in kept)
    up = Axis(0.0 if low < 0 <= min(y for _, y in kept) else low, high, 150, 12)
    return {
        "title": title, "unit": unit, "each": each, "across": across.ticks(4), "up": up.ticks(4),
        "line": " ".join(f"{across(x)},{up(y)}" for x, y in kept),
        "last": (across(kept[-1][0]), up(kept[-1][1]), kept[-1][1]),
    }  # fmt: skip


def dumbbells(accuracy: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Benchmarks below each other, each with its sides and their intervals, from 0 to 100 %."""
    across = Axis(0, 100, 16, 684)
    rows = []
    for place, (benchmark, sides) in enumerate(accuracy.items()):
        marks = [
            {"side": side, "rate": 100 * found["rate"],
             "at": across(100 * found["rate"]), "low": across(100 * found["low"]), "high": across(100 * found["high"])}
            for side, found in sides.items()
        ]  # fmt: skip
        rows.append({"name": benchmark, "y": 40 + 64 * place, "marks": marks})
    return {"rows": rows, "ticks": across.ticks(5), "height": 40 + 64 * len(rows)}


def shares(bins: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Shares of the tokens of right and of wrong samples over their reward, on a logarithmic axis from 0.01 to 100 %:
    nearly all tokens have one of two rewards, and the others are what one wants to see."""
    across = Axis(bins[0]["low"], bins[-1]["high"], 62, 664)
    up = Axis(-2, 2, 232, 30)
    series = {
        verdict: [
            {"x": across((part["low"] + part["high"]) / 2), "y": up(max(-2.0, math.log10(100 * part[verdict]))),
             "share": part[verdict], "low": part["low"], "high": part["high"]}
            for part in bins if part[verdict] > 0
        ]
        for verdict in ("right", "wrong")
    }  # fmt: skip
    powers = [(up(power), 10.0**power) for power in range(-2, 3)]
    return {"series": series, "across": across.ticks(8), "up": powers, "floor": up(-2), "zero": across(0)}


def columns(bins: Sequence[Mapping[str, float]], total: int) -> dict[str, Any]:
    """A histogram of counts over percentages."""
    across = Axis(0, 100 * bins[-1]["high"], 52, 480)
    up = Axis(0, max(100 * part["count"] / total for part in bins) * 1.08, 182, 26)
    bars = []
    for part in bins:
        left, right, top = across(100 * part["low"]), across(100 * part["high"]), up(100 * part["count"] / total)
        bars.append({"x": left + 1, "width": max(1.0, right - left - 2), "y": top, "height": 182 - top, **part})
    return {"bars": bars, "across": across.ticks(6), "up": up.ticks(4), "floor": 182.0}


def forest(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Paired differences to each baseline in points with their 95 % intervals: a panel for each benchmark."""
    panels = []
    bases = list(dict.fromkeys(row["against"] for row in rows))
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    ranges = {}
    for name in benchmarks:
        ends = [100 * row[end] for row in rows if row["benchmark"] == name for end in ("low", "high")]
        ranges[name] = padded([0.0, *ends])
    for base in bases:
        for benchmark in benchmarks:
            own = [row for row in rows if row["against"] == base and row["benchmark"] == benchmark]
            across = Axis(*ranges[benchmark], 170, 384)
            marks = [
                {"name": row["recipe"], "y": 24 + 24 * place, "at": across(100 * row["difference"]),
                 "low": across(100 * row["low"]), "high": across(100 * row["high"]), "row": row}
                for place, row in enumerate(own)
            ]  # fmt: skip
            panels.append({"against": base, "benchmark": benchmark, "marks": marks, "zero": across(0),
                           "ticks": across.ticks(5), "floor": 12 + 24 * len(own)})  # fmt: skip
    return panels


def scatter(points: Sequence[Mapping[str, Any]], unit: str) -> dict[str, Any]:
    """Accuracy in percent over a cost: points have name, cost, mean, low and high. Their names stand at the right, each
    joined to its point, so that they never cover each other."""
    across = Axis(0, max(point["cost"] for point in points) * 1.04, 48, 330)
    low, high = padded([100 * point[end] for point in points for end in ("low", "high")])
    height = max(240.0, 15.0 * len(points) + 30)
    up = Axis(low, high, height, 12)
    marks = [
        {**point, "x": across(point["cost"]), "y": up(100 * point["mean"]),
         "top": up(100 * point["high"]), "bottom": up(100 * point["low"])}
        for point in points
    ]  # fmt: skip
    marks.sort(key=lambda mark: mark["y"])
    for mark, place in zip(marks, spread([mark["y"] for mark in marks], 14, 16, height), strict=True):
        mark["label"] = place
    return {"marks": marks, "across": across.ticks(4), "up": up.ticks(5), "unit": unit, "height": height}


def spread(places: Sequence[float], apart: float, first: float, last: float) -> list[float]:
    """Sorted places moved as little as a simple sweep can, so that none are nearer than `apart`: 10, 11 → 10, 24."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + apart if moved else first))
    limit = last
    for number in range(len(moved) - 1, -1, -1):
        moved[number] = min(moved[number], limit)
        limit = moved[number] - apart
    return [round(place, 1) for place in moved]
