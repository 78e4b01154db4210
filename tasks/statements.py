r"""Where a completion states an answer, and the text it states it with, still as written.

    statements("12 + 5 = 17.\nThe answer is **17**.")     ["17."]
    statements("Thus $x = \\boxed{3}$.\n#### 4")           ["3", "4"]
    unwrap("$\\boxed{\\text{B}}$.")                        "B"

Statements are `The answer is ...` (and `Answer: ...`, `The correct option is ...`), `#### ...`, `A: ...` at the start
of a line, what follows a heading `Answer`, and `\boxed{...}`. Every pattern here takes time linear in the text.
"""

import re
from collections import deque
from collections.abc import Iterator

MAX_STATEMENT = 2000  # characters read of one statement
MAX_STATEMENTS = 50  # the last ones of a completion that are looked at

STATEMENT = re.compile(
    r"(?=[\\#>\sabcfr])"  # only for speed: how each of the following can begin
    r"(?:(?P<boxed>\\f?box(?:ed)?[ \t]*\{)"
    r"|^[ \t>]*(?-i:A)[ \t]*:|^[ \t>\#]*(?:final[ \t]+)?answer[ \t]*$|(?<!\#)\#{4}(?!\#)"
    r"|(?<!check[ ]our[ ])(?<!check[ ]the[ ])"
    r"\b(?:ans(?:wer(?:[ \t]+(?:choice|option))?|\.)?|(?:correct|right|best)[ \t]+(?:choice|option))"
    r"(?:[ \t]+to[ \t][^\n.:]{1,80}?)?[ \t]*"
    r"(?:\b(?:is|are|equals|will[ ]be|would[ ]be|should[ ]be|must[ ]be)\b[ \t]*:?|:|=))",
    re.MULTILINE | re.IGNORECASE,
)
BOLD = re.compile(r"\*\*((?:[^*\n]|\*(?!\*))+)\*\*")
TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
MATH_MARKS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))

_AROUND = re.compile(r"\\(?:f?box(?:ed)?|text|textbf|mathrm|mathbf|mbox)\s*\{")
_WRAPPERS = (*MATH_MARKS, ("**", "**"), ("*", "*"), ("`", "`"), ("__", "__"))
_TYPOGRAPHY = str.maketrans(
    {"−": "-", "–": "-", "‒": "-", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\t": " "}
    # Marks without width; not those that turn the order of digits round, since a reader would see another number.
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")
)
# Not in formulas (`\! `), nor behind a unit (`30 in. by 57 in.`).
_SENTENCE_END = re.compile(
    r"(?<!\\)[.!?;](?!(?<=\s[a-z]{2}\.)\s[a-z])(?=\s)|,?\s(?=(?:because|since|as it|so|which)\b)"
    r"|,\s(?=(?:not|rather)\b)|\s(?=\(|—)"
)
_LINE_LEAD = re.compile(r"(?:[ :*$\n]|\\[\[(])*")  # before an answer that begins on a later line


def statements(text: str) -> list[str]:
    """The stated answers of a completion in order, each as the text that states it; at most the last 50."""
    return [statement for statement, _ in _found(text)]


def last_boxed(text: str) -> str | None:
    r"""What the last `\boxed{...}` of a completion holds, on one line; None where there is none."""
    return next((statement for statement, is_boxed in reversed(_found(text)) if is_boxed), None)


def states_answer(text: str) -> bool:
    """Whether `text` holds an explicit statement of an answer (`The answer is ...`, `#### ...`, ...)."""
    return bool(statements(text))


def prefixes(statement: str) -> Iterator[str]:
    """The statement, then what is left of it when its last sentences are dropped one by one, ten at most."""
    yield statement
    for match in list(_SENTENCE_END.finditer(statement))[:10][::-1]:
        yield statement[: match.start()]


def unwrap(text: str) -> str:
    r"""`text` without what is set around all of it: spaces, final stops, `$`, `**`, `\boxed{}`, `\text{}`."""
    text = plain_typography(text)
    for _ in range(6):
        before, text = text, text.strip().rstrip(".,;:!").strip()
        if text[:1].isalnum() and text[-1:].isalnum():
            break
        for left, right in _WRAPPERS:
            inner = text[len(left) : len(text) - len(right)]
            if text.startswith(left) and inner and text == left + inner + right and left not in inner:
                text = inner
        command = _AROUND.match(text)
        if command and text[command.end() :] == _to_closing_brace(text[command.end() :]) + "}":
            text = text[command.end() : -1]
        if text == before:
            break
    return text


def plain_typography(text: str) -> str:
    """`text` with one kind of minus sign and one kind of space, and without marks that have no width."""
    return text if text.isascii() and "\t" not in text else text.translate(_TYPOGRAPHY)


def _found(text: str) -> list[tuple[str, bool]]:
    """The statements in order, each with whether it is a box; a box may hold line breaks, which are spaces."""
    text = BOLD.sub(r"\1", plain_typography(text))
    found = []
    for match in deque(STATEMENT.finditer(text), maxlen=MAX_STATEMENTS):
        window = text[match.end() : match.end() + MAX_STATEMENT]
        is_boxed = match["boxed"] is not None
        statement = " ".join(_to_closing_brace(window).split()) if is_boxed else _to_line_end(window)
        if statement.strip(" .:*$"):
            found.append((statement, is_boxed))
    return found


def _to_line_end(window: str) -> str:
    """The rest of the statement's line; the next line with text where a statement ends in a line break."""
    line = window.partition("\n")[0]
    if not _LINE_LEAD.fullmatch(line):
        return line
    return _LINE_LEAD.sub("", window, count=1).partition("\n")[0]


def _to_closing_brace(window: str) -> str:
    r"""What stands before the brace that closes `\boxed{`; empty where none does."""
    depth = 1
    for place, character in enumerate(window):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return window[:place]
    return ""
