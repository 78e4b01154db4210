"""QASC, science questions with eight options, each answered by putting two facts together.

Worked example, as published in the layout of the local files, and here:

    problem    What is changing globally?
               Options:
               the number of countries
               ...
               temperature and moisture
               ...
    solution   Climate is generally described in terms of temperature and moisture.
               Climate change is a global problem.
               temperature and moisture is changing globally
               The answer is temperature and moisture
    answer     temperature and moisture

    question   What is changing globally?
    options    the number of countries, ... temperature and moisture, ...
    solution   Climate is generally described in terms of temperature and moisture.
               Climate change is a global problem.
               temperature and moisture is changing globally
               The answer is temperature and moisture.
    answer     temperature and moisture

On the hub these are question, choices (text and label), fact1, fact2, combinedfact and answerKey (a label).

The labels of QASC's own test split are not public, so **test is the validation split**, in the local files as from
the hub. Development is one in 15 of the training split: what is measured on must not be tuned on.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.datasets import _choice_rows
from tasks.raw_rows import carved

SOURCE = "https://allenai.org/data/qasc"
LICENCE = "CC-BY-4.0"
HUB = ("allenai/qasc", None)
SPLITS = _choice_rows.SPLITS
ROWS = {"train": 7245, "development": 502, "test": 926}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/train.jsonl or test.jsonl, or from the hub.

    For train and development these are all rows of the training split, each with its split.
    """
    if split == "test":
        return _choice_rows.choice_rows(HUB, "development" if path is None else "test", path, from_hub)
    return carved(_choice_rows.choice_rows(HUB, "train", path, from_hub))


def from_hub(raw: Mapping[str, object]) -> dict[str, object]:
    """A hub row in the project's text form; its three facts are the lines of its solution."""
    return _choice_rows.from_choices(raw, "question", ("fact1", "fact2", "combinedfact"))
