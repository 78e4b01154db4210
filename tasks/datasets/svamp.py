"""SVAMP, short word problems that test whether a model reads the question; test only.

Worked example, as published, and here:

    Body       Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack
    Question   How much do you have to pay to buy each pack?
    Equation   ( 76.0 - 25.0 )
    Answer     51.0

    question   Each pack of dvds costs 76 dollars. If there is a discount of 25 dollars on each pack. How ...
    solution   76 - 25 = 51
               The answer is 51.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.dataset_rows import as_text
from tasks.plain_number import plain_number
from tasks.raw_rows import hub_rows, json_rows

SOURCE = "https://github.com/arkilpatel/SVAMP"
LICENCE = "MIT"
HUB = ("ChilleD/SVAMP", None)  # there cut into train and test; together they are the published 1000
SPLITS = ("test",)
ROWS = {"test": 1000}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/test.json, or from the hub if `path` is None."""
    if path is None:
        for part in ("train", split):
            for where, row in hub_rows(HUB, part):
                yield where, convert(row)
        return
    for where, item in json_rows(path / f"{split}.json"):
        yield where, convert(item)


def convert(raw: object) -> dict[str, object]:
    """A published item in the project's text form; what is missing stays missing."""
    if not isinstance(raw, Mapping):
        return {"broken": "not a JSON object"}
    body, question = raw.get("Body"), raw.get("Question")
    record: dict[str, object] = {"id": raw.get("ID"), "answer": raw.get("Answer")}
    if isinstance(body, str) and isinstance(question, str):
        stop = "" if body.rstrip().endswith((".", "?", "!", ",")) else "."
        record["question"] = f"{body.rstrip()}{stop} {question.strip()}".strip() if body.strip() else question
    if isinstance(equation := raw.get("Equation"), str):
        record["solution"] = _equation_line(equation, as_text(raw.get("Answer")) or "")
    return record


def _equation_line(equation: str, answer: str) -> str:
    """`( 76.0 - 25.0 )` as `76 - 25 = 51`; empty for an equation that is a number alone."""
    tidy = re.sub(r"(\d)\.0+\b", r"\1", equation.strip())
    tidy = tidy.replace("( ", "(").replace(" )", ")")
    if tidy.startswith("(") and _closes_at_end(tidy):
        tidy = tidy[1:-1]
    return "" if plain_number(tidy) else f"{tidy} = {answer}"


def _closes_at_end(text: str) -> bool:
    """Whether the parenthesis that opens `text` is the one that closes it."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return place == len(text) - 1
    return False
