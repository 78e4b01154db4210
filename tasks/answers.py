r"""The verifier: which final answer a completion states, and whether it is right.

A completion must *state* its answer; the last statement counts, and no number is guessed from running text:

    extract_answer("12 + 5 = 17.\nThe answer is 17.", "math")      "17"
    extract_answer("So she makes\nA: 1,800", "math")               "1800"   (GPT-3's form)
    extract_answer(r"Thus $x = \boxed{\frac12}$.", "math")         "1/2"
    extract_answer("12 + 5 = 17, and that is all", "math")         None
    extract_answer("The answer is (B).", "choice", ["sun", "rain"])  "rain"

Statements are those of `tasks/statements.py`, a last line wholly in `**bold**`, and a completion that is
nothing but an answer ("5 kilometers"). Numbers are compared exactly, as fractions; expressions go to
math-verify (`tasks/equivalence.py`); a choice is compared by the option it names. Nothing here evaluates
text, raises on any text, or takes long over one.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from tasks.equivalence import MAX_LENGTH as MAX_EXPRESSION
from tasks.equivalence import equivalent
from tasks.plain_number import PlainNumber, plain_number
from tasks.statements import (
    BOLD,
    MATH_MARKS,
    MAX_STATEMENT,
    STATEMENT,
    TEXT_COMMAND,
    last_boxed,
    plain_typography,
    prefixes,
    statements,
    unwrap,
)

Kind = Literal["math", "choice"]

MAX_BARE_WORDS = 4  # of a completion that is a number with its units, as "about 5 square kilometers"

_JUDGEMENT = re.compile(r"\s*(?:in)?correct\b", re.IGNORECASE)  # "our answer is correct" states none
_INLINE_MATH = re.compile(r"(?<!\\)\$(?! )([^$\n]+)(?<! )(?<!\\)\$|\\\((.+?)\\\)")
# Parentheses without a word in them go on with a formula: `7(x+3) (x-3)`, but `5 (so even)`.
_FACTOR = re.compile(r"\s\((?![^()]*(?<![\\A-Za-z])[A-Za-z]{2,})")
_FUNCTIONS = frozenset(("sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "infty"))
_LABEL = re.compile(
    r"(?:(?:the\s+)?(?:option|choice|letter)\s+)?(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Z])(?![A-Za-z0-9'’]))"
)


def extract_answer(text: str, kind: Kind, options: Sequence[str] | None = None) -> str | None:
    """The last answer that the completion `text` states, or None where it states none.

    For kind "math" a plain number comes in its canonical text (`$1,000.50` is `1000.5`), anything else as
    written, without its typesetting. For kind "choice" it is the text of the option that the last statement
    names, by text or by letter; a statement that names no option gives None. Never raises on any text.
    """
    if bare := _bare_answer(text, kind, options or ()):
        return bare
    for statement in reversed(statements(text)):
        if kind == "choice":
            return named_option(statement, options or ())
        if not _JUDGEMENT.match(statement) and (answer := _read_math(statement)):
            # Words behind a box only talk about it: `\boxed{5}. The answer is positive, since ...`
            box = None if plain_number(answer) or _is_expression(answer) else last_boxed(text)
            return (_read_math(box) if box else None) or answer
    return None


def is_right(text: str, answer: str, kind: Kind, options: Sequence[str] | None = None) -> bool:
    """Whether the completion `text` states the right `answer`. Never raises on any text."""
    found = extract_answer(text, kind, options)
    return found is not None and same_answer(found, answer, kind, options)


def same_answer(found: str, answer: str, kind: Kind, options: Sequence[str] | None = None) -> bool:
    """Whether an extracted answer is the right `answer`."""
    if kind == "choice":
        wanted = named_option(answer, options or ()) or answer
        # Options may differ in a final full stop alone, which a completion cannot tell from its own.
        return found.strip(" .") == wanted.strip(" .")
    return same_math(answer, found)


def same_math(gold: str, found: str) -> bool:
    """Whether two mathematical answers are equal: numbers exactly, expressions as math-verify sees them."""
    gold, found = unwrap(gold[:MAX_STATEMENT]), unwrap(found[:MAX_STATEMENT])
    number, other = plain_number(gold), plain_number(found)
    if number and other:
        return number.equals(other)
    if _fold_math(gold) == _fold_math(found):
        return True
    if any(_is_curve(one) and "=" not in other for one, other in ((gold, found), (found, gold))):
        return False  # math-verify compares the right side of an equation
    return _is_expression(gold) and _is_expression(found) and equivalent(gold, found)


def readable_math(answer: str) -> str | None:
    """A dataset's `answer` in canonical text; None if it is neither a number nor a formula: not checkable."""
    text = unwrap(answer[:MAX_STATEMENT])
    if number := plain_number(text):
        return number.text
    words = re.findall(r"[^\W\d_]+", text)
    is_formula = re.search(r"[\\\d]", answer) or (words and all(len(word) == 1 for word in words))
    return text if is_formula else None


def named_option(text: str, options: Sequence[str]) -> str | None:
    """The one of `options` that `text` names, by its text (exact first, then folded) or by its letter.

    `text` may go on behind the option with a new sentence. Never a part of an option, never a guess.
    """
    statement = unwrap(text[:MAX_STATEMENT])
    for part in prefixes(statement):
        for fold in (_plain, _fold_option, _fold_words):
            wanted = fold(part)
            matches = [option for option in options if wanted and fold(option) == wanted]
            if len({option.strip(" .") for option in matches}) == 1:
                return matches[0]
        if number := plain_number(unwrap(part)):  # `1,000` names the option `1000`, `5` the option `$5`
            others = ((option, plain_number(unwrap(option))) for option in options)
            matches = [option for option, other in others if other and number.same_quantity(other)]
            if len(matches) == 1:
                return matches[0]
    return _lettered_option(statement, options)


def _lettered_option(statement: str, options: Sequence[str]) -> str | None:
    """The option that `(B)`, `B.`, `option B` or `B. rain` names; None if letter and text disagree."""
    match = _LABEL.match(statement)
    if match is None:
        return None
    place = ord(next(group for group in match.groups() if group).upper()) - ord("A")
    rest = statement[match.end() :]
    in_brackets = match[3] is None
    if place >= len(options) or not (in_brackets or re.match(r"\s*$|[).:,]|\s+(?:because|since|as)\b", rest)):
        return None
    rest = rest.lstrip(" ).:,")
    others = {_fold_option(named) for part in prefixes(rest) if (named := _by_text(part, options))}
    return options[place] if not others or _fold_option(options[place]) in others else None


def _by_text(part: str, options: Sequence[str]) -> str | None:
    """The first option whose folded text is `part`'s."""
    wanted = _fold_option(part)
    return next((option for option in options if wanted and _fold_option(option) == wanted), None)


def _bare_answer(text: str, kind: Kind, options: Sequence[str]) -> str | None:
    """The answer of a completion that is nothing but an answer, or whose last line is wholly bold."""
    text = plain_typography(text).strip()
    last = text[text.rfind("\n") + 1 :].strip(" .")
    if len(last) > MAX_STATEMENT or STATEMENT.search(last):
        return None
    is_bold = BOLD.fullmatch(last) is not None
    if "\n" in text and not is_bold:
        return None
    inner = unwrap(last)
    if kind == "choice":
        label = _LABEL.match(inner)
        is_letter = label is not None and not inner[label.end() :].strip(" ).:")
        return named_option(inner, options) if is_letter or _by_text(inner, options) else None
    is_formula = any(last.startswith(left) and last.endswith(right) for left, right in MATH_MARKS)
    number = plain_number(inner) if is_bold or len(last.split()) <= MAX_BARE_WORDS else None
    return number.text if number else _read_math(inner) if is_bold or is_formula else None


def _read_math(statement: str) -> str | None:
    """The number or formula that a statement gives, in canonical text where it is a plain number."""
    parts = list(prefixes(statement))
    for part in parts:
        if number := _number(unwrap(part)):
            return number.text
    formulas = [first or second for first, second in _INLINE_MATH.findall(statement)]
    if len(formulas) == 1:
        formula = unwrap(formulas[0])
        number = _number(formula)
        return number.text if number else formula or None
    sentences = [part for part in parts if not _FACTOR.match(statement, len(part))]
    return unwrap(sentences[-1]) or unwrap(statement) or None


def _number(text: str) -> PlainNumber | None:
    """The plain number that `text` is or is said to equal, as in `12 + 5 = 17`; None for `x^2 + y^2 = 13`."""
    return plain_number(text) or (None if _is_curve(text) else _right_hand_side(text))


def _is_curve(text: str) -> bool:
    """Whether `text` is the equation of a line, plane or conic, whose right side is no answer: on its left stands a
    sum in x, y, z with coefficients or powers. (`m + n = 13` gives a value.)"""
    left, equals, _ = re.sub(r"\\[A-Za-z]+", "", text).partition("=")
    is_sum = bool(equals and re.search(r"[-+]", left) and re.search(r"\d", left))
    return is_sum and len(re.findall(r"[xyz]", left)) > 1


def _right_hand_side(text: str) -> PlainNumber | None:
    """The number behind the last equals sign of one equation, as in `12 + 5 = 17` or `x = 5`."""
    left, equals, right = text.rpartition("=")
    if not equals or left.endswith(("!", "\\ne")) or re.search(r"[,;<>≤≥]|\\[lg]eq?\b|\b(?:or|and)\b", left):
        return None
    return plain_number(right)


def _fold_math(text: str) -> str:
    """`text` for literal comparison: no spaces, no sizing commands, one spelling of fractions and text."""
    text = re.sub(r"_\{(\w+)\}", r"_\1", TEXT_COMMAND.sub(r"\1", text))
    text = re.sub(r"\\(?:left|right|big|Big|,|!|;|:| )", "", text)
    return re.sub(r"\s+", "", re.sub(r"\\[dt]frac", r"\\frac", text))


def _is_expression(text: str) -> bool:
    """Whether `text` can be a formula for math-verify, which reads `52_8` as 52: short, no running words, no
    dangling operator, no base."""
    words = re.findall(r"[^\W\d_]{2,}", re.sub(r"\\[A-Za-z]+", " ", TEXT_COMMAND.sub(" ", text)))
    if len(text) > MAX_EXPRESSION or any(word.lower() not in _FUNCTIONS for word in words):
        return False
    dangling = r"[-+*/^=<>(\[{\\]\s*$|^\s*[*/^=<>)\]}]|\d\s+\d|\d_"
    return bool(re.search(r"\w", text)) and not re.search(dangling, text)


def _plain(text: str) -> str:
    """An option's text as it is, but for kinds of minus signs and spaces."""
    return plain_typography(text).strip()


def _fold_option(text: str) -> str:
    """An option's text with case, spaces and the punctuation around it folded."""
    folded = unicodedata.normalize("NFKC", plain_typography(text)).casefold()
    return " ".join(folded.split()).strip(" .,;:!?\"'“”‘’")


def _fold_words(text: str) -> str:
    """The words, numbers and signs of an option: punctuation inside it folded too, signs of mathematics kept."""
    return " ".join(re.findall(r"\d+(?:[.,]\d+)*|[^\W_]+|[^\w\s.,;:!?\"'“”‘’]", _fold_option(text)))
