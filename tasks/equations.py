"""Find and check the equations that running text states. Nothing is ever evaluated as code.

    >>> [found] = equations("She sells 16 - 3 - 4 = 9 duck eggs a day.")
    >>> found.left, found.stated, found.value, found.holds
    ('16 - 3 - 4', '9', Fraction(9, 1), True)

Text is cut into tokens by one linear regular expression, a small recursive-descent parser finds the longest
expressions beside each `=`, and their values are exact fractions. Units may stand between a number and its
operator ("2 trips/day * 5 days/week = 10 trips/week"); `a = b = c` is two equations. What holds an unknown
("2x + 5 = 9") or no operator at all ("1 hour = 60 minutes") is not an equation here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tasks.expressions import Number, Reader, Side


@dataclass(frozen=True)
class Equation:
    """`left = stated` at `text[start:end]`; a value is None on division by zero or beyond the bounds."""

    start: int
    end: int
    left: str
    stated: str
    stated_start: int
    numbers: tuple[Number, ...]  # of the left side, in order
    stated_numbers: tuple[Number, ...]  # one, unless the right side is an expression too
    structure: str  # the left side with each number replaced by N: "N*(N+N)"
    value: Fraction | None
    stated_value: Fraction | None
    holds: bool


def equations(text: str) -> list[Equation]:
    """Every equation that `text` states, in order. Time is linear in the length of the text."""
    return list(_found(text, Reader(text)))


def every_equation_holds(text: str) -> bool:
    """True when no equation in `text` is false; text without equations passes."""
    return all(equation.holds for equation in equations(text))


def numbers(text: str) -> list[Number]:
    """Every number in `text`, in order, inside and outside equations."""
    reader = Reader(text)
    return [reader.number(i) for i, token in enumerate(reader.tokens) if token.kind == "number"]


def _found(text: str, reader: Reader) -> Iterator[Equation]:
    position = 0
    while position < len(reader.tokens):
        side, after = reader.expression(position)
        if side is None or not reader.starts_equation(position, side):
            position = max(after, position + 1)
            continue
        position = after
        while reader.kind(equals := reader.past_units(position)) == "equals":
            right, after = reader.expression(equals + 1)
            if right is None or reader.leads_to_unknown(after):
                position = equals + 1
                break
            if len(side.postfix) > 1 or len(right.postfix) > 1:
                yield _equation(text, side, right)
            side, position = right, after


def _equation(text: str, left: Side, right: Side) -> Equation:
    value, stated_value = left.value(), right.value()
    return Equation(
        left.start, right.end, text[left.start : left.end], text[right.start : right.end], right.start,
        left.numbers, right.numbers, left.structure, value, stated_value, _agree(left, right),
    )  # fmt: skip


def _agree(left: Side, right: Side) -> bool:
    """Both sides are equal, or one is a number that is the other rounded to the decimals it shows.

    A percent sign is read as a hundredth or, as texts do, left out of the arithmetic ("5/20*100 = 25%").
    """
    for left_percent, right_percent in ((True, True), (False, False), (True, False), (False, True)):
        a, b = left.value(left_percent), right.value(right_percent)
        if a is None or b is None:
            continue
        if a == b or _rounds(a, b, right) or _rounds(b, a, left):
            return True
    return False


def _rounds(exact: Fraction, shown: Fraction, side: Side) -> bool:
    """`shown`, the single number of `side`, is `exact` rounded to its decimals, a half either way."""
    if len(side.postfix) != 1 or not (decimals := side.numbers[0].decimals):
        return False
    return abs(exact - shown) * 2 <= Fraction(1, 10**decimals)
