r"""Plain numbers as people write them in an answer, read exactly.

    plain_number("$1,000.50")           value 2001/2, text "1000.5"
    plain_number("approximately 3.140 meters")        text "3.14"
    plain_number(r"\frac{-31}{2}")      value -31/2,  text "-31/2"
    plain_number("5 or 6"), plain_number("5x")        None: not one plain number

A number may carry a currency sign, thousands separators, a scale word (`1.8 billion`) and units behind it
(`18 dollars a day`). Nothing is ever rounded: 0 is not 0.0001. What is not clearly one number is None.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_LENGTH = 1000  # characters; also keeps integers far below Python's 4300-digit limit

_LEAD = re.compile(
    r"(?:(?:approximately|approx\.?|about|around|roughly|nearly|almost|exactly|precisely|simply|just|only|therefore"
    r"|thus|then|indeed|equal to|equals|a total of)(?=[\s:$\\\d.-])|≈|~|=|:|\\approx(?![a-zA-Z]))\s*",
    re.IGNORECASE,
)
_CURRENCY = r"(?:(?:US|\\)?\$|€|£|¥|USD\s|Rs\.?\s)"
_FRACTION = re.compile(rf"(?P<sign>[-+]?)\s*{_CURRENCY}?\s*(?:(?P<whole>\d+)\s+)?(?P<top>\d+)\s*/\s*(?P<bottom>\d+)")
_LATEX_FRACTION = re.compile(
    r"(?P<sign>[-+]?)(?P<whole>\d*)\s*\\[dtc]?frac\s*"
    r"(?:\{\s*(?P<top>-?\d+)\s*\}|(?P<top1>\d))\s*(?:\{\s*(?P<bottom>-?\d+)\s*\}|(?P<bottom1>\d))"
)
_DECIMAL = re.compile(
    rf"(?P<sign>[-+]?)\s*{_CURRENCY}?\s*(?P<sign2>-?)"
    r"(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE](?P<exponent>[-+]?\d{1,3}))?"
)
_SCALE = re.compile(r"\s*(hundred|thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_PERCENT = re.compile(r"\s*(?:\\?%|percent\b|per cent\b)", re.IGNORECASE)

# What behind a number is not a unit of it, but more of an expression.
_NOT_UNITS = frozenset(
    ("pi", "sqrt", "sin", "cos", "tan", "log", "ln", "infinity", "plus", "minus", "over", "divided",
    "squared",
     "cubed", "half", "halves", "or", "not", "but", "one", "two", "three", "four", "five", "six", "seven",
     "eight", "nine", "ten", "eleven", "twelve")
)  # fmt: skip
_UNIT_LETTERS = frozenset("mgshlLCFaI")  # metres, grams, ...; "a" and "I" as words
_ATTACHED_UNITS = frozenset(
    (
        "km",
        "cm",
        "mm",
        "kg",
        "mg",
        "ml",
        "lb",
        "lbs",
        "oz",
        "ft",
        "in",
        "am",
        "pm",
        "mph",
        "hrs",
        "min",
        "sec",
        "mi",
    )
)
_UNIT_POWER = re.compile(r"(?<=[A-Za-z])\s*\^\s*\{?[23]\}?\s*$")
_UNITS = re.compile(r"[A-Za-z°²³'’.,\-/$€£¢ \t]*")


@dataclass(frozen=True)
class PlainNumber:
    """An exact value, its one canonical text, whether a percent sign was written behind it, and its unit if any."""

    value: Fraction
    text: str
    percent: bool = False
    unit: str = ""

    def same_quantity(self, other: "PlainNumber") -> bool:
        """Whether both are the same number, and of the same unit if both have one."""
        return self.text == other.text and (not self.unit or not other.unit or self.unit == other.unit)

    def equals(self, other: "PlainNumber") -> bool:
        """Exact equality; between a percentage and a bare number, 50 % equals both 50 and 0.5."""
        if self.percent == other.percent:
            return self.value == other.value
        percentage, bare = (self, other) if self.percent else (other, self)
        return bare.value in (percentage.value, percentage.value / 100)


def plain_number(text: str) -> PlainNumber | None:
    """The one plain number that `text` is, with its currency, scale and units; None if it is none."""
    if len(text) > MAX_LENGTH or not text.isprintable():
        return None
    text = _simplify(text)
    found = _fraction(text) or _decimal(text)
    if found is None:
        return None
    value, written, rest = found
    if scale := _SCALE.match(rest):
        value, rest = value * 10 ** _SCALES[scale[1].lower()], rest[scale.end() :]
        written = decimal_text(value)
    percent = _PERCENT.match(rest)
    if percent:
        rest = rest[percent.end() :]
    if not _is_unit(rest):
        return None
    currency = re.search(_CURRENCY, text)
    unit = rest.strip(" .").casefold() or (currency[0].strip(" \\") if currency else "")
    return PlainNumber(value, written + "%" if percent else written, bool(percent), unit)


def decimal_text(value: Fraction) -> str:
    """`value` as a decimal without trailing zeros if it has a finite one, else as `top/bottom`."""
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
    """Drop what only typesets a number: thin spaces, `{,}`, `\text{...}`, degree signs, lead-in words."""
    text = re.sub(r"\s*\\!\s*", "", text).replace("{,}", ",").replace("\\,", " ").replace("\\ ", " ")
    text = re.sub(r"\\(?:text|mbox|mathrm|textbf|mathbf)\s*\{([^{}]*)\}", r" \1 ", text)
    text = re.sub(r"\^\s*(?:\\circ|\{\s*\\circ\s*\})", "°", text).strip()
    for _ in range(4):
        text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
    return text.strip()


def _fraction(text: str) -> tuple[Fraction, str, str] | None:
    """`3/4`, `1 3/4` and their LaTeX forms at the start of `text`: value, canonical text, what follows."""
    match = _LATEX_FRACTION.match(text) or _FRACTION.match(text)
    if match is None:
        return None
    groups = match.groupdict()
    top = int(groups["top"] or groups["top1"])
    bottom = int(groups["bottom"] or groups["bottom1"])
    if bottom == 0 or (groups["whole"] and (top < 0 or bottom < 0)):
        return None
    top += int(groups["whole"] or 0) * bottom
    top = -top if groups["sign"] == "-" else top
    if bottom < 0:
        top, bottom = -top, -bottom
    return Fraction(top, bottom), f"{top}/{bottom}", text[match.end() :]


def _decimal(text: str) -> tuple[Fraction, str, str] | None:
    """`1,000`, `-$5`, `.50`, `1e-3` at the start of `text`: value, canonical text, what follows."""
    match = _DECIMAL.match(text)
    if match is None:
        return None
    value = Fraction(match["digits"].replace(",", "").rstrip(".")) * Fraction(10) ** int(match["exponent"] or 0)
    if (match["sign"] == "-") != (match["sign2"] == "-"):
        value = -value
    return value, decimal_text(value), text[match.end() :]


def _is_unit(rest: str) -> bool:
    """Whether what follows a number only names what is counted: ` dollars a day`, `km`, ` cm^2`, not `x`."""
    rest = _UNIT_POWER.sub("", rest).rstrip(" .")
    if not _UNITS.fullmatch(rest) or re.search(r"-\s|\s-|[,/\-]$|^[,.\-']", rest):
        return False
    words = re.findall(r"[A-Za-z]+", rest)
    if rest[:1].isalpha() and words[0] not in _ATTACHED_UNITS:
        return False
    return words[-1:] != ["a"] and all(
        (len(word) > 1 or word in _UNIT_LETTERS) and word.lower() not in _NOT_UNITS for word in words
    )
