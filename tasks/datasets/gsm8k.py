"""GSM8K, grade-school word problems with solutions in sentences and equations.

Worked example, as published:

    question   Natalia sold clips to 48 of her friends in April, and then she sold half ...
    answer     Natalia sold 48/2 = <<48/2=24>>24 clips in May.
               Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.
               #### 72

Here the calculator marks are gone, and the last line is `The answer is 72.`; in a final answer such as
`1,000` the separators go too. The development split is about one fifteenth of the training file, chosen by
a hash of the question, so that it is the same rows everywhere.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.raw_rows import carved, hub_rows, jsonl_rows

SOURCE = "https://github.com/openai/grade-school-math"
LICENCE = "MIT"
HUB = ("openai/gsm8k", "main")
SPLITS = ("train", "development", "test")

ROWS = {"train": 6962, "development": 511, "test": 1319}  # 7473 in the training file

_MARK = re.compile(r"<<[^<>\n]*>>")


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/train.jsonl or test.jsonl, or from the hub if `path` is None.

    For train and development these are all rows of the training file, each with its split.
    """
    file = "test" if split == "test" else "train"
    published = hub_rows(HUB, file) if path is None else jsonl_rows(path / f"{file}.jsonl")
    converted = ((where, convert(raw)) for where, raw in published)
    return carved(converted) if file == "train" else converted


def convert(raw: Mapping[str, object]) -> dict[str, object]:
    """A published row in the project's text form; what is missing stays missing."""
    if "broken" in raw:
        return dict(raw)
    question, published = raw.get("question"), raw.get("answer")
    if not isinstance(published, str):
        return {"question": question, "broken": "field 'answer' is missing"}
    steps, mark, final = published.rpartition("####")
    if not mark:
        return {"question": question, "broken": "its answer has no final line '#### ...'"}
    answer = final.strip().replace(",", "")
    solution = f"{_MARK.sub('', steps).strip()}\nThe answer is {answer}."
    return {"question": question, "solution": solution, "answer": answer}
