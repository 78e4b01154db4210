"""Teachers: what rewrites a wrong sample into a right solution with few edits. One file a teacher.

The module `tasks/teachers/<name>.py` is the teacher `<name>`; a leading underscore marks a part. It has
a docstring, whose first line `rlmec list teachers` shows, and one function:

    def candidates(problem: Problem, sample: str) -> list[str]: ...

It may have FILES, the paths of what it reads, so that `teach` runs again where these have changed.

Candidates need not be right: `best_rewrite` keeps the accepted one with the fewest edits from the sample.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What a teacher sees of a problem; `solution` is the reference and ends with its answer line."""

    question: str
    solution: str
    answer: str
    options: list[str] | None = None  # the choices' texts; None for a free answer


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
