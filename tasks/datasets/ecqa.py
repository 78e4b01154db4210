"""ECQA, commonsense questions with five options, and the facts that speak for the right one.

Worked example, as published in the layout of the local files, and here:

    problem    What town is known for disco?
               Options:
               rio de janeiro
               new york
               ...
    solution   Rio de Janeiro is a huge seaside city in brazil, famed for its Copacabana and Ipanema beaches.
               The town Rio de Janeiro is known for disco.
               The answer is rio de janeiro
    answer     rio de janeiro

    question   What town is known for disco?
    options    rio de janeiro, new york, ...
    solution   Rio de Janeiro is a huge seaside city in brazil, famed for its Copacabana and Ipanema beaches.
               The town Rio de Janeiro is known for disco.
               The answer is rio de janeiro.
    answer     rio de janeiro

On the hub these are q_text, q_op1 ... q_op5, taskA_pos (the facts, a line each) and q_ans. Some rows list an option
twice (30 of test): they are kept, and counted.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.datasets import _choice_rows
from tasks.raw_rows import lacking

SOURCE = "https://github.com/dair-iitd/ECQA-Dataset"
LICENCE = "CDLA-Sharing-1.0"
HUB = ("tasksource/ecqa", None)
SPLITS = _choice_rows.SPLITS
ROWS = {"train": 7598, "development": 1090, "test": 2194}

_OPTIONS = ("q_op1", "q_op2", "q_op3", "q_op4", "q_op5")


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/<split>.jsonl (validation.jsonl for development), or from the hub."""
    return _choice_rows.choice_rows(HUB, split, path, from_hub)


def from_hub(raw: Mapping[str, object]) -> dict[str, object]:
    """A hub row in the project's text form; the facts of `taskA_pos` are the lines of its solution."""
    if broken := lacking(raw, ("q_text", *_OPTIONS, "q_ans", "taskA_pos")):
        return broken
    options, answer = [raw[name] for name in _OPTIONS], raw["q_ans"]
    solution = _choice_rows.ended(str(raw["taskA_pos"]).strip(), str(answer), options)
    return {"question": raw["q_text"], "options": options, "solution": solution, "answer": answer}
