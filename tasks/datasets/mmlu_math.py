"""MMLU's five subjects of mathematics and logic, multiple choice with four options; test only.

Worked example, as published, and here:

    question   What is the value of p in 24 = 2p?
    subject    elementary_mathematics
    choices    p = 4, p = 8, p = 12, p = 24
    answer     2

    question   What is the value of p in 24 = 2p?
    subject    elementary_mathematics
    options    p = 4, p = 8, p = 12, p = 24
    solution   The answer is p = 12.
    answer     p = 12

Its answers count the choices from 0. There are no rationales. The local file is one list, test.json.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.raw_rows import hub_rows, json_rows, lacking

SOURCE = "https://github.com/hendrycks/test"
LICENCE = "MIT"
HUB = (
    "cais/mmlu",
    (
        "abstract_algebra", "college_mathematics", "elementary_mathematics", "formal_logic",
        "high_school_mathematics",
    ),
)  # fmt: skip
SPLITS = ("test",)
ROWS = {"test": 974}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/test.json, or from the hub if `path` is None."""
    published = hub_rows(HUB, split) if path is None else json_rows(path / f"{split}.json")
    for where, raw in published:
        yield where, convert(raw)


def convert(raw: object) -> dict[str, object]:
    """A published item in the project's text form; its answer becomes the text of the choice at that place."""
    if broken := lacking(raw, ("question", "subject", "choices", "answer")):
        return broken
    assert isinstance(raw, Mapping)
    choices, place = raw["choices"], raw["answer"]
    if not isinstance(choices, list):
        return {"broken": f"its choices are not a list but {type(choices).__name__}"}
    if type(place) is not int or not 0 <= place < len(choices):
        return {"broken": f"its answer {str(place)[:60]!r} is no place among its {len(choices)} choices, from 0"}
    return {
        "question": raw["question"],
        "subject": raw["subject"],
        "options": choices,
        "solution": "",
        "answer": choices[place],
    }
