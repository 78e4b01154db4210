r"""Whether two formulas are equal, where math-verify alone would be too lax or cannot read them.

    same_formula(r"49\pi", r"49\pi square feet")     True: units behind a formula do not count
    same_formula("1, 2", "x = 1 or x = 2")           True
    same_formula("x + y = 5", "5")                   False, though math-verify takes what follows the equals sign
    same_formula("(2, 1)", "1, 2")                   False, though math-verify takes a tuple for a set
    same_formula("4130_5", "4130")                   False, though math-verify drops the base

Both sides come in the notation of `tasks/notation.py`.
"""

import re

from tasks.equivalence import MAX_LENGTH, equivalent
from tasks.plain_number import NOT_UNITS
from tasks.statements import TEXT_COMMAND

_FUNCTIONS = frozenset(("sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "infty"))
_DANGLING = re.compile(r"[-+*/^=<>(\[{\\]\s*$|^\s*[*/^=<>)\]}]|(?<![_^\d])\d+\s+\d")
_AND = re.compile(r"(?:,\s*)?(?:\\text\s*\{\s*,?\s*(?:and|or)\s*\}|(?<![\\A-Za-z])(?:and|or)(?![A-Za-z]))")
_UNITS = re.compile(r"\s+([a-z]{2,}[a-z. /]*)(?:\^\s*\{?[23]\}?)?$")
_BASE = re.compile(r"\d_")  # 52_8, a numeral of base 8, is compared by its digits (before it comes here)
_NAME = re.compile(r"\s*(?:\\?[A-Za-z]\w*(?:_\{\w+\})?(?:\([A-Za-z, ]+\))?|\([A-Za-z](?:\s*,\s*[A-Za-z])+\))\s*")
# Unknowns written together, as the xy of `2xy + 1`: short, and between signs, so no words.
_PRODUCT = re.compile(r"(?:^|(?<=[-+*/^=(){},\d]))\s*[A-Za-z]{2,3}(?=\s*(?:$|[-+*/^=(){},]))")


def same_formula(gold: str, found: str) -> bool:
    """Whether two formulas in plain notation are equal; False where one is none, or it cannot be told."""
    if max(len(gold), len(found)) > MAX_LENGTH:
        return False
    gold, found = (_AND.sub(",", side.replace("°", "")).strip() for side in (gold, found))
    gold, found = _without_units(gold), _without_units(found)
    if not (is_formula(gold) and is_formula(found)) or _BASE.search(gold + " " + found):
        return False
    if ("=" in gold) != ("=" in found):
        if has_unknowns(gold.partition("=")[0]) if "=" in gold else _is_curve(found):
            return False
        gold, found = _value(gold), _value(found)
    pair = _ordered(gold, found)
    return equivalent(*pair) or _same_equation(*pair)


def has_unknowns(left: str) -> bool:
    """Whether the left side of an equation calculates with unknowns, as that of `x + 1 = 5`: 5 is no value of it.

    Names (`x`, `f(x)`, `(x, y)`), calculations (`2 + 3`) and words (`the total`) have none.
    """
    bare = re.sub(r"\\[A-Za-z]+", " ", left)
    return not _NAME.fullmatch(left) and bool(re.search("[A-Za-z]", bare)) and not re.search("[A-Za-z]{2}", bare)


def _is_curve(text: str) -> bool:
    """Whether `text` is the equation of a line, plane or conic, whose right side is no answer: on its left stands a
    sum in x, y, z with coefficients or powers. (`m + n = 13` gives a value.)"""
    left, equals, _ = re.sub(r"\\[A-Za-z]+", "", text).partition("=")
    is_sum = bool(equals and re.search(r"[-+]", left) and re.search(r"\d", left))
    return is_sum and len(re.findall(r"[xyz]", left)) > 1


def is_formula(text: str) -> bool:
    """Whether `text` can be a formula for math-verify: short, no running words, no dangling operator."""
    if len(text) > MAX_LENGTH or not re.search(r"\w", text) or _DANGLING.search(text):
        return False
    bare = re.sub(r"\\(?:begin|end)\s*\{[a-z]+\}|\\[A-Za-z]+", " ", TEXT_COMMAND.sub(" ", text))
    if not text.isalpha():
        bare = _PRODUCT.sub(" ", bare)
    return all(word.lower() in _FUNCTIONS for word in re.findall(r"[^\W\d_]{2,}", bare))


def _without_units(text: str) -> str:
    """`text` without words at its end that can be a unit."""
    units = _UNITS.search(text)
    return text[: units.start()] if units and NOT_UNITS.isdisjoint(re.findall("[a-z]+", units[1])) else text


def _value(text: str) -> str:
    """What a lone equation ends in: 5 of `x = 5`, `5 = x` and `2 + 3 = 5`; any other text as it is."""
    parts = text.split("=")
    if "," in text and len(parts) > 2:
        return text  # several equations
    return parts[0] if len(parts) == 2 and _NAME.fullmatch(parts[1]) else parts[-1]


def _ordered(gold: str, found: str) -> tuple[str, str]:
    """Both sides; where one is a tuple, the brackets of a tuple around the other's bare list or set too."""
    tuples = [_is_list(side[1:-1]) and side[:1] + side[-1:] == "()" for side in (gold, found)]
    sides = [re.sub(r"^\\?\{(.*)\\?\}$", r"\1", side) if any(tuples) else side for side in (gold, found)]
    sides = [f"({side})" if any(tuples) and _is_list(side) else side for side in sides]
    return sides[0], sides[1]


def _is_list(text: str) -> bool:
    """Whether `text` has a comma outside all brackets, and no bracket that closes before it opens."""
    depth, commas = 0, 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        commas += character == "," and depth == 0
        if depth < 0:
            return False
    return commas > 0


def _same_equation(gold: str, found: str) -> bool:
    """Whether two equations say the same: the differences of their sides are equal, or opposite."""
    if gold.count("=") != 1 or found.count("=") != 1:
        return False
    (left, right), (other_left, other_right) = gold.split("="), found.split("=")
    difference = f"({left})-({right})"
    return equivalent(difference, f"({other_left})-({other_right})") or equivalent(
        difference, f"({other_right})-({other_left})"
    )
