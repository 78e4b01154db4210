"""OpenBookQA, elementary science questions with four options.

Worked example, as published on the hub, and here:

    question_stem  The sun is responsible for
    choices        text: puppies learning new tricks, children growing up and getting old, flowers wilting in a vase,
                   plants sprouting, blooming and wilting; label: A, B, C, D
    answerKey      D
    fact1          the sun is the source of energy for physical cycles on Earth

    question       The sun is responsible for
    options        puppies learning new tricks, ... plants sprouting, blooming and wilting
    solution       the sun is the source of energy for physical cycles on Earth
                   The answer is plants sprouting, blooming and wilting.
    answer         plants sprouting, blooming and wilting

The local files (`_choice_rows`) do not hold the fact: there a solution is its last line alone.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.datasets import _choice_rows

SOURCE = "https://allenai.org/data/open-book-qa"
LICENCE = "Apache-2.0"
HUB = ("allenai/openbookqa", "additional")  # the configuration `main` lacks the fact
SPLITS = _choice_rows.SPLITS
ROWS = {"train": 4957, "development": 500, "test": 500}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/<split>.jsonl (validation.jsonl for development), or from the hub."""
    return _choice_rows.choice_rows(HUB, split, path, from_hub)


def from_hub(raw: Mapping[str, object]) -> dict[str, object]:
    """A hub row in the project's text form; the fact it was written from is the first line of its solution."""
    return _choice_rows.from_choices(raw, "question_stem", ("fact1",))
