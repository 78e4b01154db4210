r"""Plain numbers as people write them in an answer, read exactly.

    plain_number("$1,000.50")           value 2001/2, text "1000.5"
    plain_number("approximately 3.140 meters")        text "3.14"
    plain_number(r"\frac{-31}{2}")      value -31/2,  text "-31/2"
    plain_number(r"3 \times 10^8 m/s")  value 3 * 10^8
    plain_number("9 a.m.")              value 9,      text "9 am"
    plain_number("5 or 6"), plain_number("5x")        None: not one plain number

A number may carry a currency sign, thousands separators, a scale word (`1.8 billion`) and units behind it
(`18 dollars a day`). Nothing is ever rounded: 0 is not 0.0001. What is not clearly one number is None.
"""

import re
from fractions import Fraction
from typing import NamedTuple

from tasks.notation import plain_notation
from tasks.statements import TEXT_COMMAND

MAX_LENGTH = 1000  # characters; also keeps integers far below Python's 4300-digit limit

_BARE = re.compile(r"(-?\d+)(?:\.(\d+))?", re.ASCII)
_LEAD = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|nearly|almost|exactly|precisely|simply|just|only|therefore"
    r"|thus|then|indeed|equal to|equals|a total of)(?=[\s:$\\\d.-])|≈|~|=|:|\\approx(?![a-zA-Z]))\s*",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"(?:negative|minus)\s+(?=[\d$.\\])", re.IGNORECASE)
_CURRENCY = r"(?:(?:US|AU?|CA?|\\)?\$|[€£¥₹]|(?:USD|EUR|GBP|INR)\s|Rs\.?\s)"
_INTEGER = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_FRACTION = re.compile(
    rf"(?P<sign>[-+]?)\s*{_CURRENCY}?\s*(?:(?P<whole>{_INTEGER})(?:\s+and)?\s+)?"
    rf"(?P<top>{_INTEGER})\s*/\s*(?P<bottom>{_INTEGER})"
)
_LATEX_FRACTION = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>\d*)\s*\\frac\s*"
    r"(?:\{\s*(?P<top>-?\d+)\s*\}|(?P<top1>\d))\s*(?:\{\s*(?P<bottom>-?\d+)\s*\}|(?P<bottom1>\d))"
)
_REPEATING = re.compile(r"(?P<sign>[-+]?)(?P<whole>\d*)\.(?P<part>\d*)\\(?:overline|bar)\s*\{(?P<cycle>\d+)\}")
_DECIMAL = re.compile(
    rf"(?P<sign>[-+]?)\s*{_CURRENCY}?\s*(?P<sign2>-?)"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+)"
    r"(?:[eE](?P<exponent>[-+]?\d{1,3})|\s*(?:\\times|\\cdot|[x*])\s*10\s*\^\s*"
    r"(?:\{\s*(?P<power>[-+]?\d{1,3})\s*\}|(?P<power1>\d)))?"
)
_SCALE = re.compile(r"\s*(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_PERCENT = re.compile(r"\s*(?:\\?%|percent\b|per cent\b)", re.IGNORECASE)
_HALF_DAY = re.compile(r"\s*([ap])(?:\.\s?)?m\b\.?", re.IGNORECASE)

# What behind a number is not a unit of it, but more of an expression.
NOT_UNITS = frozenset(
    ("pi", "sqrt", "sin", "cos", "tan", "log", "ln", "infinity", "plus", "minus", "divided", "squared", "cubed",
     "half", "halves", "or", "not", "but", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
     "ten", "eleven", "twelve", "xy", "xz", "yz", "xyz", "ab", "ac", "bc", "abc", "mn", "pq")
)  # fmt: skip
_UNIT_LETTERS = frozenset("mgshlLCFKNJWVaIo")  # metres, grams, ...; "a", "I" and the o of "o'clock" as words
_ATTACHED_UNITS = frozenset(
    ("km", "cm", "mm", "kg", "mg", "ml", "mL", "L", "lb", "lbs", "oz", "ft", "in", "mph", "hrs", "min", "sec", "mi",
     "GB", "MB")
)  # fmt: skip
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])\s*\^\s*(?:[234]|\{\s*-?[1-4]\s*\})")
_LOOSE_SIGN = re.compile(r"-\s|\s-|[,/\-]$|^[,.\-']")
_UNITS = re.compile(r"[A-Za-z°'’.,\-/$€£¥₹¢ \t]*")


class PlainNumber(NamedTuple):
    """An exact value, its one canonical text, and what was written behind it: a percent sign, "am" or "pm", a unit."""

    value: Fraction
    text: str
    percent: bool = False
    half_day: str = ""
    unit: str = ""  # or the currency

    def same_quantity(self, other: "PlainNumber") -> bool:
        """Whether both are the same number, and of the same unit if both have one."""
        same = self.value == other.value and self.percent == other.percent and self.half_day == other.half_day
        return same and (not self.unit or not other.unit or self.unit == other.unit)

    def equals(self, other: "PlainNumber") -> bool:
        """Exact equality; between a percentage and a bare number, 50 % equals both 50 and 0.5. 9 am is not 9 pm."""
        if self.half_day and other.half_day and self.half_day != other.half_day:
            return False
        if self.percent == other.percent:
            return self.value == other.value
        percentage, bare = (self, other) if self.percent else (other, self)
        return bare.value in (percentage.value, percentage.value / 100)


def plain_number(text: str) -> PlainNumber | None:
    """The one plain number that `text` is, with its currency, scale and units; None if it is none."""
    if len(text) > MAX_LENGTH or not text.isprintable():
        return None
    if digits := _BARE.fullmatch(text):  # most of them, and in a fraction of the time
        value = Fraction(int(digits[1] + (digits[2] or "")), 10 ** len(digits[2] or ""))
        return PlainNumber(value, decimal_text(value))
    text = _simplify(text)
    may_be_fraction = "/" in text or "\\" in text
    found = (may_be_fraction and (_fraction(text) or _repeating(text))) or _decimal(text)
    if found is None:
        return None
    value, written, rest = found
    if scale := _SCALE.match(rest):
        value, rest = value * 10 ** _SCALES[scale[1].lower()], rest[scale.end() :]
        written = decimal_text(value)
    percent = _PERCENT.match(rest)
    if percent:
        rest = rest[percent.end() :]
    half = _HALF_DAY.match(rest)
    half_day = half[1].lower() + "m" if half else ""
    rest = rest[half.end() :] if half else rest
    if not _is_unit(rest):
        return None
    currency = re.search(_CURRENCY, text)
    unit = rest.strip(" .").casefold() or (currency[0].strip(" \\") if currency else "")
    return PlainNumber(value, f"{written}{'%' * bool(percent)} {half_day}".rstrip(), bool(percent), half_day, unit)


def decimal_text(value: Fraction) -> str:
    """`value` as a decimal without trailing zeros if it has a finite one, else as `top/bottom`."""
    if value.denominator == 1:
        return str(value.numerator)
    bottom, places = value.denominator, 0
    while bottom % 10 == 0 or bottom % 2 == 0 or bottom % 5 == 0:
        bottom //= 10 if bottom % 10 == 0 else 2 if bottom % 2 == 0 else 5
        places += 1
    if bottom != 1:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :].rstrip("0")
    return ("-" if value < 0 else "") + whole + ("." + part if part else "")


def _simplify(text: str) -> str:
    """Drop what only typesets a number: thin spaces, `{,}`, `\text{...}`, lead-in words."""
    text = plain_notation(text).strip()
    if "\\" in text:
        text = TEXT_COMMAND.sub(r" \1 ", text).strip()
    for _ in range(4):
        lead = _LEAD.match(text)
        if lead is None:
            break
        text = text[lead.end() :]
    if sign := _NEGATIVE.match(text):
        text = "-" + text[sign.end() :]
    return text.strip()


def _fraction(text: str) -> tuple[Fraction, str, str] | None:
    """`3/4`, `1 3/4` and their LaTeX forms at the start of `text`: value, canonical text, what follows."""
    match = _LATEX_FRACTION.match(text) or _FRACTION.match(text)
    if match is None:
        return None
    groups = match.groupdict()
    parts = (groups["whole"] or "0", groups["top"] or groups["top1"], groups["bottom"] or groups["bottom1"])
    whole, top, bottom = (int(part.replace(",", "")) for part in parts)
    if bottom == 0 or (groups["whole"] and (top < 0 or bottom < 0)):
        return None
    top += whole * bottom
    top = -top if groups["sign"] == "-" else top
    if bottom < 0:
        top, bottom = -top, -bottom
    return Fraction(top, bottom), f"{top}/{bottom}", text[match.end() :]


def _repeating(text: str) -> tuple[Fraction, str, str] | None:
    r"""`0.1\overline{6}` at the start of `text`: value (0.1 + 6/90), canonical text, what follows."""
    match = _REPEATING.match(text)
    if match is None:
        return None
    cycle = Fraction(int(match["cycle"]), 10 ** len(match["cycle"]) - 1)
    value = (int(match["whole"] + match["part"] or "0") + cycle) / 10 ** len(match["part"])
    value = -value if match["sign"] == "-" else value
    return value, decimal_text(value), text[match.end() :]


def _decimal(text: str) -> tuple[Fraction, str, str] | None:
    """`1,000`, `-$5`, `.50`, `1e-3` at the start of `text`: value, canonical text, what follows."""
    match = _DECIMAL.match(text)
    if match is None:
        return None
    exponent = int(match["exponent"] or match["power"] or match["power1"] or 0)
    whole, _, part = match["digits"].replace(",", "").replace(" ", "").partition(".")
    value = Fraction(int(whole + part), 10 ** len(part)) if part else Fraction(int(whole))
    if exponent:
        value *= Fraction(10) ** exponent
    if (match["sign"] == "-") != (match["sign2"] == "-"):
        value = -value
    return value, decimal_text(value), text[match.end() :]


def _is_unit(rest: str) -> bool:
    """Whether what follows a number only names what is counted: ` dollars a day`, `km`, ` cm^2`, not `x`."""
    if "^" in rest or "\\" in rest:
        rest = _UNIT_POWER.sub("", rest).replace("\\cdot", " ")
    rest = rest.rstrip(" .")
    if not _UNITS.fullmatch(rest) or _LOOSE_SIGN.search(rest):
        return False
    words = re.findall(r"[A-Za-z]+", rest)
    if rest[:1].isalpha() and words[0] not in _ATTACHED_UNITS and len(words[0]) < 4:
        return False
    return words[-1:] != ["a"] and all(
        (len(word) > 1 or word in _UNIT_LETTERS) and word.lower() not in NOT_UNITS for word in words
    )
