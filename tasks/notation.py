r"""One way to write each sign of mathematics, so that two ways to write a formula are compared as one.

    plain_notation("2√3 × 10⁸")                      r"2\sqrt{3} \times 10^{8}"
    plain_notation(r"\left[0,\,\tfrac12\right)")     r"[0, \frac12)"
    plain_notation("1½ ≤ x")                         r"1 1/2 \le x"

Nothing here reads a formula; every pattern takes time linear in the text.
"""

import re
import unicodedata

_SIGNS = {
    "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "≤": r"\le ", "≥": r"\ge ",
    "≠": r"\ne ", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "±": r"\pm ", "≈": r"\approx ",
}  # fmt: skip
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_NOTATION = re.compile(r"[\\{~<>!]|\*\*|pi|inf|sqrt|sin|cos|tan|sec|csc|cot|log|ln")  # ASCII that a rule may change
_WORD = r"(?<![\\A-Za-z]){}(?![A-Za-z])"  # a name that is not a command yet
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s*(?<!\\)\\!\s*|\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle)(?![A-Za-z])\s?", ""),
        (r"(?<!\\)\\[,;: ]|\\q?quad(?![A-Za-z])|(?<=\S)~(?=\S)", " "),
        (r"\{,\}", ","),
        (r"\\[dtc]frac", r"\\frac"),
        (r"\\leq(?:slant)?(?![A-Za-z])|<=", r"\\le "),
        (r"\\geq(?:slant)?(?![A-Za-z])|>=", r"\\ge "),
        (r"\\neq(?![A-Za-z])|!=", r"\\ne "),
        (r"\\langle(?![A-Za-z])\s*", "("),
        (r"\s*\\rangle(?![A-Za-z])", ")"),
        (r"\\varnothing(?![A-Za-z])|\\\{\s*\\\}", r"\\emptyset "),
        (r"(?<=[\w)}])\*\*(?=[\w({-])", "^"),
        (r"\^\s*(?:\\circ|\{\s*\\circ\s*\})|\\degree(?![A-Za-z])", "°"),
        (r"(?:√|\\sqrt|(?<![\\A-Za-z])sqrt)\s*(?:\(([^()]*)\)|(\d+|[a-z]\b))", r"\\sqrt{\1\2}"),
        (r"(?<![\\A-Za-z])(sin|cos|tan|sec|csc|cot|log|ln)(?=\s*[(\d\\])", r"\\\1 "),
        (_WORD.format("pi"), r"\\pi "),
        (_WORD.format("inf(?:inity)?"), r"\\infty "),
    )
)


def plain_notation(text: str) -> str:
    """`text` with one spelling of signs, roots, fractions, degrees and spaces, and without sizing commands."""
    if text.isascii() and not _NOTATION.search(text):
        return text
    if not text.isascii():
        text = re.sub(f"[{_SUPERSCRIPTS}]+", lambda run: f"^{{{_decomposed(run[0])}}}", text)
        text = "".join(_plain_sign(sign) for sign in text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _plain_sign(sign: str) -> str:
    """A sign of `_SIGNS`, a Greek letter or a fraction of one character as ASCII; any other as it is."""
    if sign in _SIGNS or sign.isascii():
        return _SIGNS.get(sign, sign)
    if "α" <= sign <= "ω":
        return f"\\{unicodedata.name(sign).split()[-1].lower()} "
    if unicodedata.decomposition(sign).startswith("<fraction>"):
        return " " + _decomposed(sign)
    return sign


def _decomposed(signs: str) -> str:
    """`½` as `1/2`, `⁻³` as `-3`."""
    return unicodedata.normalize("NFKC", signs).replace("⁄", "/").replace("−", "-")
