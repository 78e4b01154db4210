r"""What ECQA, QASC, OpenBookQA and ARC-Easy have in common: rows of a question, its options and the right one.

A line of their local files, which are in the layout of https://github.com/RUCAIBox/RLMEC, and here:

    problem    What makes soil wet?\nOptions:\nsand\nrain
    solution   Rain is water.\nThe answer is Rain
    answer     Rain

    question   What makes soil wet?
    options    sand, rain
    solution   Rain is water.\nThe answer is rain.
    answer     rain

An answer may differ from its option in case and spaces; here both are the option's own text. On the hub each
has fields of its own, which its module's `from_hub` reads. The file and the hub split `validation` is the
development split.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tasks.answers import named_option
from tasks.dataset_rows import answer_line
from tasks.raw_rows import hub_rows, jsonl_rows, lacking

SPLITS = ("train", "development", "test")
FIELDS = ("problem", "solution", "answer")


def choice_rows(
    hub: tuple[str, str | None], split: str, path: Path | None, from_hub: Callable[[Mapping[str, object]], dict]
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) from `path`/<split>.jsonl, or from the hub if `path` is None."""
    file = "validation" if split == "development" else split
    if path is None:
        for where, raw in hub_rows(hub, file):
            yield where, from_hub(raw)
        return
    for where, line in jsonl_rows(path / f"{file}.jsonl"):
        yield where, convert(line)


def convert(raw: Mapping[str, object]) -> dict[str, object]:
    """A line of a local file in the project's text form."""
    if broken := lacking(raw, FIELDS):
        return broken
    question, mark, options = str(raw["problem"]).partition("\nOptions:\n")
    if not mark:
        return {"broken": "its problem has no line 'Options:' with the options behind it"}
    texts, answer, solution = options.split("\n"), str(raw["answer"]).strip(), raw["solution"]
    steps, _, last = str(solution).strip().rpartition("\n")
    if last == f"The answer is {answer}":  # any other last line is for the judge
        solution = ended(steps, answer, texts)
    return {"question": question, "options": texts, "solution": solution, "answer": raw["answer"]}


def ended(steps: str, answer: str, options: Sequence[object]) -> str:
    """`steps` and the line that states the answer in its option's own letters, whatever the steps end in."""
    option = named_option(answer, [text for text in options if isinstance(text, str)])
    return f"{steps}\n{answer_line(option or answer)}".lstrip()


def from_choices(raw: Mapping[str, object], question: str, facts: tuple[str, ...] = ()) -> dict[str, object]:
    """A hub row with {"text": [...], "label": [...]} as its choices, and an answerKey, which is a label.

    `question` and `facts` name its fields for the question and for the lines of the solution.
    """
    if broken := lacking(raw, (question, "choices", "answerKey")):
        return broken
    choices, key = raw["choices"], raw["answerKey"]
    labels, texts = (choices.get("label"), choices.get("text")) if isinstance(choices, Mapping) else (None, None)
    if not isinstance(labels, list) or not isinstance(texts, list) or len(labels) != len(texts):
        return {"broken": "its choices are not a list of texts and a list of as many labels"}
    if key not in labels:
        return {"broken": f"its answerKey {str(key)[:60]!r} is none of its labels {', '.join(map(str, labels))}"}
    lines = [str(raw[fact]).strip() for fact in facts if raw.get(fact)]
    answer = texts[labels.index(key)]
    solution = ended("\n".join(lines), str(answer), texts)
    return {"question": raw[question], "options": texts, "solution": solution, "answer": answer}
