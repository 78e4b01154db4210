"""Arithmetic expressions in running text: its tokens, the longest expressions in it, and their values.

    >>> reader = Reader("so 2 trips/day * 5 days/week is a lot")
    >>> side, after = reader.expression(1)
    >>> side.structure, side.value()
    ('N*N', Fraction(10, 1))

Every bound below is there so that hostile text costs no more than time linear in its length.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

MAX_DEPTH = 30  # nested brackets
MAX_DIGITS = 24  # of one number
MAX_TERMS = 80  # numbers in one expression
MAX_UNIT_WORDS = 5  # between a number and its operator
MAX_EXPONENT = 32
MAX_POWER_BITS = 1500

TOKEN = re.compile(
    r"""(?P<number>[0-9]{1,3}[ ](?:1/2|[12]/3|[13]/4|[1-4]/5|[15]/6|[1357]/8)(?![0-9.,/])
      | (?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+|[½¼¾⅓⅔⅛])
      | (?P<equals>=+|equals\b)
      | (?P<word>(?:divided|multiplied)\ by\b|[^\W\d_]+(?:['’-][^\W\d_]+)*)
      | (?P<operator>\*\*|[-+*/^×·⋅∙÷–—−])
      | (?P<open>[(\[{]) | (?P<close>[)\]}])
      | (?P<currency>[$£€¥₹₱])
      | (?P<percent>%)
      | (?P<newline>\n)
      | (?P<other>\S)""",
    re.VERBOSE,
)
SIGNS = {"×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "–": "-", "—": "-", "−": "-", "**": "^"}
OPERATOR_WORDS = {"x": "*", "X": "*", "times": "*", "plus": "+", "minus": "-", "of": "of"}
OPERATOR_WORDS |= {"divided by": "/", "multiplied by": "*"}
BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "of": 2, "^": 4}
VULGAR = {"½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8)}
UNIT_LETTERS = set("gmhlLs")  # "5m" is five metres; any other single letter is an unknown


@dataclass(frozen=True)
class Number:
    """One number of the text: `text[start:end]` without its currency and percent signs."""

    start: int
    end: int
    text: str
    value: Fraction | None  # None where it has more than MAX_DIGITS digits
    is_percent: bool = False

    @property
    def decimals(self) -> int:
        return len(self.text.partition(".")[2])


class Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Side:
    """An expression: its tokens' place in the text, and itself in postfix order."""

    start: int
    end: int
    postfix: tuple[Number | str, ...]
    structure: str

    @property
    def numbers(self) -> tuple[Number, ...]:
        return tuple(sorted((n for n in self.postfix if isinstance(n, Number)), key=lambda n: n.start))

    def value(self, percent: bool = True) -> Fraction | None:
        """Its value, a percent sign a hundredth or left out; None on division by zero or out of bounds."""
        stack: list[Fraction] = []
        for item in self.postfix:
            if isinstance(item, Number):
                if item.value is None:
                    return None
                stack.append(item.value / 100 if item.is_percent and percent else item.value)
            elif item == "negate":
                stack.append(-stack.pop())
            else:
                right, left = stack.pop(), stack.pop()
                result = _apply(item, left, right)
                if result is None:
                    return None
                stack.append(result)
        return stack[0]


def _apply(operator: str, left: Fraction, right: Fraction) -> Fraction | None:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator in ("*", "of"):
        return left * right
    if operator == "/":
        return left / right if right else None
    bits = left.numerator.bit_length() + left.denominator.bit_length()
    if right.denominator != 1 or not 0 <= right <= MAX_EXPONENT or right * bits > MAX_POWER_BITS:
        return None
    return left ** int(right)


class Reader:
    """Recursive descent over the tokens of one text. Positions are token indices."""

    def __init__(self, text: str) -> None:
        self.tokens = [Token(m.lastgroup or "", m[0], *m.span()) for m in TOKEN.finditer(text)]
        self.closing = self._matching_brackets()
        self.furthest = 0  # the last operand tried, so that a failed expression is not read again

    def kind(self, position: int) -> str:
        return self.tokens[position].kind if 0 <= position < len(self.tokens) else "end"

    def _matching_brackets(self) -> dict[int, int]:
        """Open bracket → its close, for those on one line that nest at most MAX_DEPTH deep, without `=`."""
        matches: dict[int, int] = {}
        stack: list[list[int]] = []  # [position, height of what is inside]
        for position, token in enumerate(self.tokens):
            if token.kind in ("newline", "equals"):
                stack.clear()
            elif token.kind == "open":
                stack.append([position, 0])
            elif token.kind == "close" and stack:
                start, height = stack.pop()
                if height < MAX_DEPTH:
                    matches[start] = position
                if stack:
                    stack[-1][1] = max(stack[-1][1], height + 1)
        return matches

    def number(self, position: int) -> Number:
        token = self.tokens[position]
        whole, _, share = token.text.partition(" ")  # "1 1/2" is one number
        digits = whole.replace(",", "")
        if token.text in VULGAR:
            value: Fraction | None = Fraction(*VULGAR[token.text])
        else:
            value = Fraction(digits) + Fraction(share or 0) if len(digits) <= MAX_DIGITS else None
        return Number(token.start, token.end, token.text, value, self.kind(position + 1) == "percent")

    def operator(self, position: int) -> str | None:
        """The operator at `position` if an operand follows it, as one of + - * / ^ of."""
        kind = self.kind(position)
        if kind not in ("operator", "word") or not self.starts_operand(position + 1):
            return None
        text = self.tokens[position].text
        return SIGNS.get(text, text) if kind == "operator" else OPERATOR_WORDS.get(text)

    def starts_operand(self, position: int) -> bool:
        if self.kind(position) == "operator" and self.tokens[position].text in "-−":
            position += 1
        if self.kind(position) == "currency":
            position += 1
        if self.kind(position) == "operator" and self.tokens[position].text in "-−":
            position += 1
        return self.kind(position) == "number" or position in self.closing

    def past_units(self, position: int) -> int:
        """Skip the unit after an operand: words, `per` slashes, a currency sign, brackets around words."""
        words = 0
        while words <= MAX_UNIT_WORDS:
            kind = self.kind(position)
            if kind == "word" and self.operator(position) is None:
                words += 1
                position += 1
            elif kind == "operator" and self.tokens[position].text in "/-" and self.kind(position + 1) == "word":
                position += 1
            elif kind in ("currency", "percent") or (kind == "other" and self.tokens[position].text in "'\"°²³."):
                if self.tokens[position].text == "." and self.kind(position - 1) != "word":
                    return position
                words += 1
                position += 1
            else:
                return position
        return position

    def is_unknown(self, position: int) -> bool:
        """Whether a single letter that is no unit stands here, alone or glued to the number before it."""
        if self.kind(position) != "word" or len(self.tokens[position].text) != 1:
            return False
        is_glued = self.kind(position - 1) in ("number", "close") and self.touches(position)
        return not (is_glued and self.tokens[position].text in UNIT_LETTERS) and self.operator(position) is None

    def touches(self, position: int) -> bool:
        """Whether no space separates the token from the one before it."""
        return self.tokens[position - 1].end == self.tokens[position].start

    def starts_equation(self, position: int, side: Side) -> bool:
        """Whether the expression from `position` on is whole: nothing before it belongs to it.

        A bare number is the left side of an equation only where a line or clause begins ("24 = 4 * 6").
        """
        before = self.kind(position - 1)
        if before == "other" and self.tokens[position - 1].text in ":,." and self.kind(position - 2) == "number":
            return not (self.touches(position) and self.touches(position - 1))  # 7:50, 16,0000
        if len(side.postfix) == 1 and before not in ("end", "newline", "other", "open"):
            return False
        if before != "operator":
            return not (self.kind(position) == "operator" and before in ("word", "close"))
        return self.tokens[position - 1].text in "-–—−" and not self.is_unknown(position - 2)

    def leads_to_unknown(self, position: int) -> bool:
        """Whether the expression that ends before `position` goes on with an unknown."""
        if self.kind(position) == "operator":
            return self.is_unknown(position + 1)
        return self.is_unknown(position) and self.touches(position)

    def expression(self, position: int) -> tuple[Side | None, int]:
        """The longest expression from `position` on and where it ends; (None, where to go on) if none."""
        if not self.starts_operand(position):
            return None, position + 1
        postfix: list[Number | str] = []
        self.furthest = position
        end = self._binary(position, 1, postfix)
        if end is None or self.leads_to_unknown(end):
            return None, end or max(position + 1, self.furthest)
        if sum(isinstance(item, Number) for item in postfix) > MAX_TERMS:
            postfix = [Number(0, 0, "", None)]
        first, last = self.tokens[position], self.tokens[end - 1]
        return Side(first.start, last.end, tuple(postfix), self._structure(position, end)), end

    def _structure(self, position: int, end: int) -> str:
        parts = {"number": "N", "open": "(", "close": ")", "percent": "%"}
        found = []
        for place in range(position, end):
            kind = self.kind(place)
            found.append(parts.get(kind, "") if kind not in ("operator", "word") else self.operator(place) or "")
        return "".join(found)

    def _binary(self, position: int, binding: int, postfix: list[Number | str]) -> int | None:
        """Operators that bind at least as tightly as `binding`, left to right."""
        end = self._operand(position, postfix)
        while end is not None:
            if self.is_unknown(end) and self.touches(end):
                return None  # 5A - 5
            place = self.past_units(end)
            operator = self.operator(place)
            if operator == "of" and not self._is_share(end, postfix):
                operator = None
            if operator is None and end in self.closing and self.kind(end - 1) in ("number", "close"):
                operator, place = "*", end - 1  # 2(3+4)
            if operator is None or BINDING[operator] < binding:
                return end
            after = self._binary(place + 1, BINDING[operator] + 1, postfix)
            if after is None:
                return end
            postfix.append(operator)
            end = after
        return None

    def _is_share(self, end: int, postfix: list[Number | str]) -> bool:
        """`of` multiplies only after a percentage or a fraction: "20% of 50", "1/2 of 10"."""
        return self.kind(end - 1) == "percent" or postfix[-1] == "/"

    def _operand(self, position: int, postfix: list[Number | str]) -> int | None:
        negative = False
        self.furthest = max(self.furthest, position)
        while self.kind(position) in ("operator", "currency"):
            negative ^= self.kind(position) == "operator"
            position += 1
        if self.kind(position) == "number":
            postfix.append(self.number(position))
            end = position + 1 + (self.kind(position + 1) == "percent")
        else:
            inner = self._binary(position + 1, 1, postfix) if self.starts_operand(position + 1) else None
            if inner is None or self.past_units(inner) != self.closing.get(position):
                return None
            end = self.closing[position] + 1
        if negative:
            postfix.append("negate")
        return end
