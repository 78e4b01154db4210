"""The cheapest way, in token edits, through a sample's lines and the reference steps that it needs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from tasks.teachers._steps import Step

Changes = dict[Fraction | None, str]  # a wrong value → the text of the right one
MAX_STEPS_A_LINE = 3  # reference steps that one line of a sample may stand for
MISPLACED = 1.0  # edits that a kept line costs for each needed step on its wrong side


class Fit(NamedTuple):
    """What may become of a line of the sample."""

    # (line, the lines before it) → the line put right without a reference step, or None where it must go
    between: Callable[[Step, Sequence[Step]], str | None]
    # (line, consecutive reference steps) → the ways in which the line can say what they say
    adaptations: Callable[[Step, Sequence[Step]], Iterable[tuple[str, Changes]]]


class _Cell(NamedTuple):
    """The fewest edits so far, where they come from, and the line added there."""

    edits: float
    back: tuple[int, int] | None
    text: str | None  # None for a deleted line
    changes: Changes


def aligned(
    steps: list[Step], kept: Mapping[int, int], needed: list[tuple[int, Step]], fit: Fit
) -> tuple[list[str], Changes]:
    """The new lines, and the wrong values that were put right on the way.

    A line of `kept` stays as it is; each of the `needed` reference steps is said by a line or inserted. Both come
    with their places in the reference, so that what a line computes is there when another needs it.
    """
    table: dict[tuple[int, int], _Cell] = {(0, 0): _Cell(0, None, "", {})}
    wanted = [step for _, step in needed]

    def offer(i: int, j: int, edits: float, text: str | None, changes: Changes | None = None) -> None:
        total = table[here].edits + edits
        # Of equally cheap ways the last is taken: the one that keeps a line first and inserts after it.
        if (i, j) not in table or total <= table[i, j].edits:
            table[i, j] = _Cell(total, here, text, changes or {})

    for here in product(range(len(steps) + 1), range(len(needed) + 1)):
        i, j = here
        if j < len(needed):
            offer(i, j + 1, len(wanted[j].words) + 1, wanted[j].text)
        if i == len(steps):
            continue
        if i in kept:
            misplaced = sum((place > kept[i]) == (k < j) for k, (place, _) in enumerate(needed))
            offer(i + 1, j, MISPLACED * misplaced, steps[i].text)
            continue
        offer(i + 1, j, len(steps[i].words) + 1, None)
        if (text := fit.between(steps[i], steps[:i])) is not None:
            offer(i + 1, j, steps[i].edits(text), text)
        for size in range(1, min(MAX_STEPS_A_LINE, len(needed) - j) + 1):
            for text, changes in fit.adaptations(steps[i], wanted[j : j + size]):
                offer(i + 1, j + size, steps[i].edits(text), text, changes)
    return _path(table, (len(steps), len(needed)))


def _path(table: dict[tuple[int, int], _Cell], place: tuple[int, int]) -> tuple[list[str], Changes]:
    """The lines on the way to `place`, and the changes on it, the earliest of a value first."""
    lines: list[str] = []
    changed: Changes = {}
    cell = table[place]
    while cell.back is not None:
        if cell.text is not None:
            lines.append(cell.text)
        changed |= cell.changes
        cell = table[cell.back]
    return lines[::-1], changed
