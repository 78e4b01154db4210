"""Judging one raw record of any dataset: a problem in the project's text form, or the reason why it is none.

judge({"question": "1+1?", "solution": "1+1=2.", "answer": 2.0}, "mine")
    Problem(..., solution="1+1=2.\\nThe answer is 2.", answer="2", options=None)
judge({"question": "1+1?", "solution": "1+1=2."}, "mine")
    Rejected("field 'answer' is missing")
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction

from tasks.answers import Kind, is_right, named_option, readable_math
from tasks.plain_number import decimal_text
from tasks.records import stable_id
from tasks.statements import states_answer


@dataclass(frozen=True)
class Problem:
    """A good row; `answer` is an option's own text, or else a canonical number or formula."""

    problem_id: str
    question: str
    solution: str
    answer: str
    options: list[str] | None
    subject: str | None = None

    def row(self) -> dict[str, object]:
        """As a row of the problems table, but for source and split."""
        return asdict(self)


@dataclass(frozen=True)
class Rejected:
    """Why a row is no problem."""

    reason: str


class _BadRecordError(ValueError):
    """Raised inside `judge` alone, with the reason."""


def judge(record: Mapping[str, object], source: str) -> Problem | Rejected:
    """`record` as a problem that ends in its answer, with a content id under `source`; never raises."""
    if "broken" in record:
        return Rejected(str(record["broken"]))
    try:
        question, solution = _text(record, "question").strip(), _text(record, "solution").strip()
        if not question:
            return Rejected("its question is empty")
        options = _options(record)
        answer = _answer(record, options)
        solution = _ended(solution, answer, options)
        subject = None if record.get("subject") is None else _text(record, "subject").strip() or None
    except _BadRecordError as error:
        return Rejected(str(error))
    given = record.get("id")
    problem_id = stable_id(source, question, options) if given is None else stable_id(source, str(given))
    return Problem(problem_id, question, solution, answer, options, subject)


def repeats_an_option(options: Sequence[str] | None) -> bool:
    """Whether two of the options are the same but for spaces. (In logic `Sc` and `sC` are different options.)"""
    texts = [" ".join(option.split()) for option in options or ()]
    return len(set(texts)) < len(texts)


def answer_line(answer: str) -> str:
    """The line that states an answer, with which solutions end."""
    return f"The answer is {answer}" + ("" if answer.endswith(".") else ".")


def as_text(value: object) -> str | None:
    """A JSON text or number as text (51.0 is `51`), or None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    try:
        return decimal_text(Fraction(repr(value)))
    except ValueError:  # an integer of thousands of digits
        return None


def _text(record: Mapping[str, object], name: str) -> str:
    """A field that must be there and hold text that UTF-8 can write."""
    value = record.get(name)
    if value is None:
        raise _BadRecordError(f"field {name!r} is missing")
    if not isinstance(value, str):
        raise _BadRecordError(f"field {name!r} is not text but {type(value).__name__}")
    return _writable(value, name)


def _writable(text: str, name: str) -> str:
    """`text`, unless it holds half of a surrogate pair, which JSON can write but UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _BadRecordError(f"field {name!r} holds characters that are not valid Unicode") from error
    return text


def _options(record: Mapping[str, object]) -> list[str] | None:
    """The choices in order; null or no field means a problem with a free answer."""
    value = record.get("options")
    if value is None:
        return None
    texts = [as_text(option) for option in value] if isinstance(value, list) else []
    options = [_writable(text.strip(), "options") for text in texts if text]
    if len(options) != len(texts) or len(options) < 2 or not all(options):
        raise _BadRecordError("field 'options' is not a list of at least two texts")
    return options


def _answer(record: Mapping[str, object], options: list[str] | None) -> str:
    """The answer as the option that it names, or as a canonical number or formula."""
    value = record.get("answer")
    if value is None:
        raise _BadRecordError("field 'answer' is missing")
    text = as_text(value)
    if text is None or not text.strip():
        raise _BadRecordError(f"its answer {str(value)[:60]!r} cannot be parsed")
    text = _writable(text, "answer")
    answer = readable_math(text) if options is None else named_option(text, options)
    if answer is None:
        wanted = "as a number or a formula" if options is None else "as one of its options"
        raise _BadRecordError(f"its answer {text[:60]!r} cannot be parsed {wanted}")
    return answer


def _ended(solution: str, answer: str, options: list[str] | None) -> str:
    """`solution` ending in a line that states `answer`: its own last line if it states one, or a new one."""
    last_line = solution.rpartition("\n")[2]
    if not states_answer(last_line):
        solution = f"{solution}\n{answer_line(answer)}".lstrip()
    kind: Kind = "math" if options is None else "choice"
    if not is_right(solution, answer, kind, options):
        raise _BadRecordError(f"its solution does not end in its answer {answer[:60]!r}")
    return solution
