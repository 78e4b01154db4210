r"""MATH, competition problems in seven subjects, whose answer is a number or a formula.

Worked example, as published, and here:

    problem    Evaluate $i^5+i^{-25}+i^{45}$.
    level      Level 5
    type       Algebra
    solution   We have $i^5 = i^4\cdot i = 1\cdot (i) = i$. ... $i^5+i^{-25}+i^{45} = i - i+ i = \boxed{i}$.

    question   Evaluate $i^5+i^{-25}+i^{45}$.
    subject    Algebra
    solution   We have $i^5 = i^4\cdot i = 1\cdot (i) = i$. ... $i^5+i^{-25}+i^{45} = i - i+ i = \boxed{i}$.
    answer     i

The answer is what the last \boxed{} of the solution holds, as its publishers grade it. A solution whose last line
does not hold it gets a line `The answer is i.`

A local folder holds train.jsonl and test.jsonl with a problem a line, or train/ and test/ with a problem a file
(test/algebra/0.json), as published. Development is one fifteenth of train, by a hash of the question.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.raw_rows import carved, hub_rows, jsonl_rows, lacking, parse_line
from tasks.statements import last_boxed

SOURCE = "https://github.com/hendrycks/math"
LICENCE = "MIT"
HUB = (
    "EleutherAI/hendrycks_math",
    (
        "algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
        "precalculus",
    ),
)  # fmt: skip
SPLITS = ("train", "development", "test")
ROWS = {"test": 5000}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from a local folder, or from the hub if `path` is None.

    For train and development these are all rows of the training split, each with its split.
    """
    file = "test" if split == "test" else "train"
    published = hub_rows(HUB, file) if path is None else _local_rows(path, file)
    converted = ((where, convert(raw)) for where, raw in published)
    return carved(converted) if file == "train" else converted


def _local_rows(path: Path, file: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The problems of `path`/<file>.jsonl, or of the files below `path`/<file>/ where that is a folder."""
    if not (path / file).is_dir():
        yield from jsonl_rows(path / f"{file}.jsonl")
    for problem in sorted((path / file).glob("**/*.json")):
        yield problem.relative_to(path).as_posix(), parse_line(problem.read_bytes())


def convert(raw: Mapping[str, object]) -> dict[str, object]:
    """A published problem in the project's text form."""
    if broken := lacking(raw, ("problem", "type", "solution")):
        return broken
    answer = last_boxed(str(raw["solution"]))
    if answer is None:
        return {"question": raw["problem"], "broken": r"its solution has no answer in \boxed{}"}
    return {"question": raw["problem"], "subject": raw["type"], "solution": raw["solution"], "answer": answer}
