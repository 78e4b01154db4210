"""ARC-Easy, grade-school science questions with three to five options; no rationales.

Worked example, as published in the layout of the local files, and here:

    problem    Which characteristic describes the texture of a kitten's fur?
               Options:
               gray
               warm
               long
               soft
    solution   The answer is soft
    answer     soft

    question   Which characteristic describes the texture of a kitten's fur?
    options    gray, warm, long, soft
    solution   The answer is soft.
    answer     soft

On the hub these are question, choices (text and label) and answerKey, which is a label: a letter or a number.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.datasets import _choice_rows

SOURCE = "https://allenai.org/data/arc"
LICENCE = "CC-BY-SA-4.0"
HUB = ("allenai/ai2_arc", "ARC-Easy")
SPLITS = _choice_rows.SPLITS
ROWS = {"train": 2251, "development": 570, "test": 2376}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/<split>.jsonl (validation.jsonl for development), or from the hub."""
    return _choice_rows.choice_rows(HUB, split, path, from_hub)


def from_hub(raw: Mapping[str, object]) -> dict[str, object]:
    """A hub row in the project's text form."""
    return _choice_rows.from_choices(raw, "question")
