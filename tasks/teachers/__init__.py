"""Teachers: what rewrites a wrong sample into a right solution with few edits. One file a teacher.

The module `tasks/teachers/<name>.py` is the teacher `<name>`; a leading underscore marks a part. It has
a docstring, whose first line `rlmec list teachers` shows, and one function:

    def candidates(problem: Problem, sample: str) -> list[str]: ...

Candidates need not be right: `best_rewrite` keeps the accepted one with the fewest edits from the sample.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from types import ModuleType

from tasks.errors import UserError


@dataclass(frozen=True)
class Problem:
    """What a teacher sees of a problem; `solution` is the reference and ends with its answer line."""

    question: str
    solution: str
    answer: str
    options: list[str] | None = None  # the choices' texts; None for a free answer


def names() -> list[str]:
    """The teachers there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> ModuleType:
    """The teacher's module; UserError names the nearest where there is none of this name."""
    if name not in names():
        near = get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names())}"
        raise UserError(f"no teacher {name!r}: {hint}")
    return importlib.import_module(f"{__name__}.{name}")


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
