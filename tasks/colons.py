r"""Times and ratios, the answers that are written with a colon.

    same_by_colon("15:30", "3:30 p.m.")    True
    same_by_colon("6:8", "3 to 4")         True; so are 3/4 and 3 out of 4, but not 4:3
    same_by_colon("3:30", "3:03")          False
    same_by_colon("5", "6")                None: neither is written with a colon

`3:30` can be either: two texts that can both be times are compared as times.
"""

import re
from fractions import Fraction

from tasks.plain_number import plain_number
from tasks.statements import TEXT_COMMAND

_TIME = re.compile(r"(\d{1,2})(?::([0-5]\d))?(?::([0-5]\d))?\s*(?:([ap])(?:\.\s?)?m\.?)?", re.IGNORECASE)
_PART = r"(?:0|[1-9]\d{0,11})(?:\.\d{1,12})?"
_RATIO = re.compile(rf"{_PART}(?:\s*:\s*{_PART})+")
_TO = re.compile(r"(?<=\d)(?:\s+(?:to|in|out of)\s+|-to-)(?=\d)")


def same_by_colon(gold: str, found: str) -> bool | None:
    """Whether two times or ratios are the same; None where neither side is one, or a side is something else.

    A half of the day counts where both sides name it. A ratio need not be in lowest terms, and `3:4` equals the
    number 0.75.
    """
    sides = [_TO.sub(":", TEXT_COMMAND.sub(r" \1", side)).strip() for side in (gold, found)]
    if not any(":" in side for side in sides):
        return None
    times = [_time(side) for side in sides]
    if times[0] and times[1]:
        halves = {time[3] for time in times if time and time[3]}
        return times[0][:3] == times[1][:3] and len(halves) < 2
    ratios = [_ratio(side) for side in sides]
    if ratios[0] and ratios[1]:
        return ratios[0] == ratios[1]
    return False if all(re.fullmatch(r"[\d:.\s]+", side) for side in sides) else None


def _time(text: str) -> tuple[int, int, int, str] | None:
    """Hour of twelve, minute, second and half of the day (where it is known) of `3:30`, `15:30`, `3 p.m.`"""
    match = _TIME.fullmatch(text)
    if match is None or int(match[1]) > 24:
        return None
    hour, half = int(match[1]), (match[4] or "").lower()
    if not half and hour > 12:
        half = "p"
    return hour % 12, int(match[2] or 0), int(match[3] or 0), half


def _ratio(text: str) -> tuple[Fraction, ...] | None:
    """The parts of a ratio, or of a plain number as the ratio to 1, scaled so that they add up to 1."""
    number = plain_number(text)
    parts = [Fraction(part) for part in text.split(":")] if _RATIO.fullmatch(text) else []
    if number and not number.percent:
        parts = [number.value, Fraction(1)]
    total = sum(parts)
    return tuple(part / total for part in parts) if total else None
