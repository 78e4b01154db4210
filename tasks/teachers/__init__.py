"""Teachers: what rewrites a wrong sample into a right solution with few edits. One file a teacher.

The module `tasks/teachers/<name>.py` is the teacher `<name>`; a leading underscore marks a part. It has
a docstring, whose first line `rlmec list teachers` shows, and one of two functions:

    def candidates(problem: Problem, sample: str) -> list[str]: ...
    def rewrites(options: Options, given: Sequence[Given], book: Any) -> list[dict[str, Any]]: ...

Candidates need not be right: `best_rewrite` keeps the accepted one with the fewest edits from the sample. A teacher
that asks a language model rewrites many samples at once and gives their rows (tasks/teachers/_dialogue.py). It has
`Options`, its settings, a pydantic model, where `unkeyed` names those that change no answer. A teacher may have

    def files(options: Options) -> list[str]: ...      files outside the store that it reads, part of the stage's key
    def opened(folder, options, log) -> Book: ...      a context: what its shards share, given to `rewrites`
    DIALECT                                            how a server is asked, and whose key it needs (_chat.py)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """What a teacher sees of a problem; `solution` is the reference and ends with its answer line."""

    question: str
    solution: str
    answer: str
    options: list[str] | None = None  # the choices' texts; None for a free answer


@dataclass(frozen=True)
class Given:
    """A wrong sample as a language model is told of it, in lines (each with its line break), and who judges.

    `judge(rewrite, located line, ended)` makes the row of a rewrite, with a reject_reason where it is not accepted.
    """

    problem: Problem
    lines: Sequence[str]
    judge: Callable[[str, int | None, bool], dict[str, Any]]
    max_edit_fraction: float

    @property
    def told(self) -> tuple[str, list[str] | None, str, Sequence[str]]:
        return self.problem.question, self.problem.options, self.problem.solution, self.lines


def best_rewrite(
    candidates: Iterable[str],
    problem: Problem,
    sample: str,
    accept: Callable[[str], bool],
    distance: Callable[[str, str], int],
) -> str | None:
    """The accepted candidate nearest to the sample, the earlier of two equally near; None if there is none.

    `accept(candidate)` says that it is right and that every equation in it holds; `distance(sample,
    candidate)` counts edits. The problem's own reference solution is tried where nothing else is accepted.
    """
    accepted = [text for text in dict.fromkeys(candidates) if text.strip() and accept(text)]
    if accepted:
        return min(accepted, key=lambda text: distance(sample, text))
    return problem.solution if accept(problem.solution) else None
