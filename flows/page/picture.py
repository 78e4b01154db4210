"""The pipeline as a picture: a row for each stage, and from each stage a line down to every stage that read from it.

Each stage that was read from has a lane of its own left of the rows, from which an arrow goes to each reader; lanes
that do not meet share a place. Coordinates are those of the SVG in `charts.html`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ROW, TOP, BOX = 46, 28, 32  # the distance of rows, where the first one lies, and the height of a stage's box
LANE, STEP = 13, 4  # the distance of lanes, and of arrows that end at one stage


@dataclass(frozen=True)
class Arrow:
    """One recorded input: `reader` read `source`'s output under the name `what`."""

    source: str
    reader: str
    what: str


def picture(stages: Sequence[Mapping[str, Any]], arrows: Sequence[Arrow]) -> dict[str, Any]:
    """stages: {name, seconds, reused, about} in order; sources that are no stage (the user's checkpoints) come first.
    Returns {rows, lines, left, height}."""
    known = {stage["name"] for stage in stages}
    outside = list(dict.fromkeys(arrow.source for arrow in arrows if arrow.source not in known))
    rows: list[dict[str, Any]] = [{"name": name, "seconds": None, "reused": False, "about": ""} for name in outside]
    rows += [dict(stage) for stage in stages]
    place = {row["name"]: number for number, row in enumerate(rows)}
    down = [arrow for arrow in arrows if place[arrow.source] < place.get(arrow.reader, -1)]
    lanes = allotted({name: (place[name], max(place[arrow.reader] for arrow in down if arrow.source == name))
                      for name in {arrow.source for arrow in down}})  # fmt: skip
    left = 24 + LANE * (1 + max(lanes.values(), default=0))
    most = max((float(stage["seconds"]) for stage in stages), default=0.0) or 1.0
    for number, row in enumerate(rows):
        row |= {"y": TOP + ROW * number, "bar": round(210 * (row["seconds"] or 0) / most, 1)}
    return {
        "rows": rows,
        "lines": [
            line(name, lane, down, place, left) for name, lane in sorted(lanes.items(), key=lambda pair: -pair[1])
        ],
        "left": left,
        "height": TOP + ROW * len(rows) - ROW // 2 + 8,
    }


def allotted(spans: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """A lane for each span of rows, short ones nearest to the boxes; spans in one lane have no row in common."""
    taken: list[list[tuple[int, int]]] = []
    lanes = {}
    for name, (first, last) in sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item[1])):
        free = (number for number, held in enumerate(taken) if all(last < low or high < first for low, high in held))
        lane = next(free, len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((first, last))
        lanes[name] = lane
    return lanes


def line(name: str, lane: int, arrows: Sequence[Arrow], place: Mapping[str, int], left: int) -> dict[str, Any]:
    """The lane of one source: a path from its box down to the last reader, and an arrow into each reader."""
    x = left - 18 - LANE * lane
    start = TOP + ROW * place[name] + 11
    ends: list[dict[str, Any]] = []
    for reader in dict.fromkeys(arrow.reader for arrow in arrows if arrow.source == name):
        read = [arrow for arrow in arrows if arrow.reader == reader]
        others = sorted({arrow.source for arrow in read}, key=place.__getitem__)
        y = TOP + ROW * place[reader] - 11 + STEP * others.index(name)
        what = ", ".join(arrow.what for arrow in read if arrow.source == name)
        ends.append({"y": y, "reader": reader, "what": what})
    last = max(end["y"] for end in ends)
    return {"source": name, "x": x, "path": f"M {left} {start} H {x + 5} Q {x} {start} {x} {start + 5} V {last}",
            "ends": ends, "hue": place[name] % 6}  # fmt: skip
