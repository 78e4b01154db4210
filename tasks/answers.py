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

from tasks.colons import same_by_colon
from tasks.formulas import has_unknowns, is_formula, same_formula
from tasks.notation import plain_notation
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

_ARTICLE = re.compile(r"^(?:an?|the) (?=\w\w)")
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_JUDGEMENT = re.compile(r"\s*(?:in)?correct\b", re.IGNORECASE)  # "our answer is correct" states none
_INLINE_MATH = re.compile(r"(?<!\\)\$(?! )([^$\n]+)(?<! )(?<!\\)\$|\\\((.+?)\\\)")
_REMARK = re.compile(r"\s\((?:≈|\\approx|~|=|-?[\d.]+\))")  # as behind "\sqrt{2} (1.41)"
_LABEL = re.compile(  # a small letter alone counts too, but "a" is a word
    r"(?:(?i:(?:the\s+)?(?:option|choice|letter))\s+)?"
    r"(?:\(([A-Za-z])\)|\[([A-Za-z])\]|([A-Z](?![A-Za-z0-9'’])|[a-z](?=\))|[b-z](?=[.:]?\s*$)))"
)
_LABEL_END = re.compile(r"\s*$|[).:,]|\s-\s|\s+(?:because|since|as)\b")


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
            box = None if plain_number(answer) or is_formula(plain_notation(answer)) else last_boxed(text)
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
    """Whether two mathematical answers are equal: numbers exactly, texts by their words, formulas by meaning."""
    if gold == found:
        return True
    gold, found = unwrap(gold[:MAX_STATEMENT]), unwrap(found[:MAX_STATEMENT])
    number, other = plain_number(gold), plain_number(found)
    if number and other:
        return number.equals(other)
    gold, found = plain_notation(gold), plain_notation(found)
    if _fold_math(gold) == _fold_math(found) or _same_words(gold, found):
        return True
    verdict = same_by_colon(gold, found)
    return same_formula(gold, found) if verdict is None else verdict


def readable_math(answer: str) -> str | None:
    """A dataset's `answer` in canonical text; None if it is neither a number nor a formula: not checkable."""
    text = unwrap(answer[:MAX_STATEMENT])
    if number := plain_number(text):
        return number.text
    words = re.findall(r"[^\W\d_]+", text)
    is_formula = re.search(r"[\\\d]", answer) or (words and all(len(word) == 1 for word in words))
    return text if text and is_formula else None


def named_option(text: str, options: Sequence[str]) -> str | None:
    """The one of `options` that `text` names, by its text (exact first, then folded) or by its letter.

    `text` may go on behind the option with a new sentence. Never a part of an option, never a guess.
    """
    statement = unwrap(text[:MAX_STATEMENT])
    for part in prefixes(statement):
        if option := _matching_option(part, options):
            label = _LABEL.match(statement[len(part) :].strip())
            is_other = label and _lettered_option(label[0], options) not in (None, option)
            return None if is_other else option
        if part == statement and (option := _lettered_option(statement, options, confirmed=True)):
            return option
    return _lettered_option(TEXT_COMMAND.sub(r"\1 ", statement).strip(), options)


def _matching_option(part: str, options: Sequence[str]) -> str | None:
    """The one option whose text is `part`, exactly, folded, or as a quantity: `1,000` names the option `1000`."""
    for fold in (_plain, _fold_option, _fold_words, _fold_article):
        wanted = fold(part)
        matches = [option for option in options if wanted and fold(option) == wanted]
        if len({option.strip(" .") for option in matches}) == 1:
            return matches[0]
    number = plain_number(unwrap(part))
    others = [(option, plain_number(unwrap(option))) for option in options if number]
    matches = [option for option, other in others if number and other and number.same_quantity(other)]
    return matches[0] if len({option.strip(" .") for option in matches}) == 1 else None


def _lettered_option(statement: str, options: Sequence[str], confirmed: bool = False) -> str | None:
    """The option that `(B)`, `B.`, `option B` or `B. rain` names; None if letter and text disagree.

    With `confirmed` the text must be there.
    """
    match = _LABEL.match(statement)
    if match is None:
        return None
    place = ord(next(group for group in match.groups() if group).upper()) - ord("A")
    rest = statement[match.end() :]
    in_brackets = match[3] is None
    if place >= len(options) or not (in_brackets or _LABEL_END.match(rest)):
        return None
    rest = rest.lstrip(" ).:,").removeprefix("- ")
    others = {_fold_option(named) for part in prefixes(rest) if (named := _by_text(part, options))}
    is_named = _fold_option(options[place]) in others or not (others or confirmed)
    return options[place] if is_named else None


def _by_text(part: str, options: Sequence[str]) -> str | None:
    """The first option whose folded text is `part`'s."""
    wanted = _fold_option(part)
    return next((option for option in options if wanted and _fold_option(option) == wanted), None)


def _bare_answer(text: str, kind: Kind, options: Sequence[str]) -> str | None:
    """The answer of a completion that is nothing but an answer, or whose last line is wholly bold."""
    text = plain_typography(text).strip()
    last = text[text.rfind("\n") + 1 :].strip(" .")
    is_bold = BOLD.fullmatch(last) is not None
    if len(last) > MAX_STATEMENT or ("\n" in text and not is_bold) or STATEMENT.search(last):
        return None
    inner = unwrap(last)
    if kind == "choice":
        label = _LABEL.match(inner)
        rest = inner[label.end() :].strip(" ).:") if label else inner
        is_named = not rest or _by_text(rest, options) or _by_text(inner, options)
        return named_option(inner, options) if is_named else None
    is_formula = any(last.startswith(left) and last.endswith(right) for left, right in MATH_MARKS)
    number = plain_number(inner) if is_bold or len(last.split()) <= MAX_BARE_WORDS else None
    return number.text if number else _read_math(inner) if is_bold or is_formula else None


def _read_math(statement: str) -> str | None:
    """The number or formula that a statement gives, in canonical text where it is a plain number."""
    parts = [unwrap(part) for part in prefixes(statement)]
    for part in parts:
        if number := plain_number(part) or _right_hand_side(part):
            return number.text
    formulas = [first or second for first, second in _INLINE_MATH.findall(statement)]
    if len(formulas) == 1:
        formula = unwrap(formulas[0])
        number = plain_number(formula) or _right_hand_side(formula)
        return number.text if number else formula or None
    for part in parts:
        if is_formula(plain_notation(part)) and not _REMARK.search(part):
            return part
    return parts[-1] or parts[0] or None


def _right_hand_side(text: str) -> PlainNumber | None:
    """The number behind the last equals sign of one equation, as in `12 + 5 = 17` or `x = 5`."""
    left, equals, right = text.rpartition("=")
    if not equals or left.endswith(("!", "\\ne")) or re.search(r"[,;<>≤≥]|\\[lg]eq?\b|\b(?:or|and)\b", left):
        return None
    return None if has_unknowns(left.partition("=")[0]) else plain_number(right)


def _fold_math(text: str) -> str:
    """Plain notation, for literal comparison: no text commands, spaces between digits only, `_8` as `_{8}`."""
    text = re.sub(r"_\{(\w+)\}", r"_\1", TEXT_COMMAND.sub(r"\1", text))
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)", "", text)


def _same_words(gold: str, found: str) -> bool:
    """Whether two texts of words, not formulas, differ in case, an article and the punctuation around them alone."""
    sides = [TEXT_COMMAND.sub(r"\1", side) for side in (gold, found)]
    if any("\\" in side or not re.search(r"[^\W\d_]{2}", side) for side in sides):
        return False
    first, second = (_ARTICLE.sub("", _fold_option(side)) for side in sides)
    return first == second


def _plain(text: str) -> str:
    """An option's text as it is, but for kinds of minus signs and spaces."""
    return plain_typography(text).strip()


def _fold_option(text: str) -> str:
    """An option's text with case, spaces and the punctuation around it folded."""
    folded = unicodedata.normalize("NFKC", plain_typography(TEXT_COMMAND.sub(r"\1", text))).casefold()
    return " ".join(folded.split()).strip(" .,;:!?\"'“”‘’")


def _fold_words(text: str) -> str:
    """The words, numbers and signs of an option: punctuation inside it folded too, signs of mathematics kept."""
    text = _HYPHEN.sub(" ", _fold_option(text))
    return " ".join(re.findall(r"\d+(?:[.,]\d+)*|[^\W_]+|[^\w\s.,;:!?\"'“”‘’]", text))


def _fold_article(text: str) -> str:
    """The words of an option without an article before them."""
    return _ARTICLE.sub("", _fold_words(text))
