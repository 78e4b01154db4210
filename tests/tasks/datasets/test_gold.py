r"""The verifier on every published gold answer: right however it is stated, and right for its own problem only.

Where RLMEC_DATA names the published files, this reads all their splits. The second half asks each gold answer against
the problems of the 50 rows before it; what is slow there is a sample with a fixed seed (see SAMPLED and ASKED).
"""

import random
import re
from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

from tasks import datasets, formulas
from tasks.answers import extract_answer, is_right, same_answer
from tasks.dataset_rows import judge
from tasks.datasets import _choice_rows, gsm8k, math
from tasks.raw_rows import jsonl_rows
from tasks.verify import verdict

CHOICE = ("ecqa", "qasc", "openbookqa", "arc_easy", "mmlu_math")
SPLITS = [
    (name, split)
    for name in ("gsm8k", "svamp", "math", *CHOICE)
    for split in datasets.get(name).SPLITS
    if split in datasets.get(name).ROWS  # MATH's training file is not among those at hand
]
# Published solutions in their own words: the files, the field that holds them, and what makes a record of a row.
PUBLISHED = {
    "gsm8k": (("train", "test"), "answer", gsm8k.convert),
    "math": (("test",), "solution", math.convert),
    **dict.fromkeys(CHOICE[:4], (("train", "validation", "test"), "solution", _choice_rows.convert)),
}

NEIGHBOURS = 50
SAMPLED = {"train": 12}  # one problem in so many of this split is asked about its neighbours
ASKED = 500  # of the pairs of MATH answers that only math-verify can tell apart, 20 ms and more each


@cache
def problems(folder: Path, name: str, split: str) -> list[dict]:
    return datasets.load(name, split, folder / name).to_dicts()


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_every_gold_answer_is_right_however_it_is_stated(real_data, name, split):
    for problem in problems(real_data, name, split):
        answer = problem["answer"]
        forms = [
            problem["solution"],
            f"The answer is {answer}",
            f"The answer is {answer}.",
            f"The answer is: {answer}",
            f"**{answer}**",
            rf"\boxed{{{answer}}}",
            rf"So it is $\boxed{{{answer}}}$.",
        ]
        if name in CHOICE:
            letter = "ABCDEFGHIJ"[problem["options"].index(answer)]
            forms += [f"The answer is ({letter}).", f"The answer is ({letter}) {answer}."]
        if name in CHOICE and len({option.casefold() for option in problem["options"]}) == len(problem["options"]):
            forms += [f"The answer is {answer.upper()}.", f"The answer is: {answer.lower()}"]
        assert [form for form in forms if not verdict(form, problem).is_right] == [], problem


@pytest.mark.parametrize(("name", "file"), [(name, file) for name in PUBLISHED for file in PUBLISHED[name][0]])
def test_every_published_solution_is_right_in_its_own_words(real_data, name, file):
    _, field, convert = PUBLISHED[name]
    kind, stops = ("choice", ("", ".")) if name in CHOICE else ("math", ("",))
    for where, row in jsonl_rows(real_data / name / f"{file}.jsonl"):
        problem = judge(convert(row), name)
        assert all(is_right(row[field] + stop, problem.answer, kind, problem.options) for stop in stops), where


def pairs(folder: Path, name: str, split: str) -> list[tuple[dict, str]]:
    """(problem, the gold answer of one of the 50 problems behind it) for all problems or a sample, seed 0."""
    draw, rows = random.Random(0), problems(folder, name, split)
    chosen = [place for place in range(len(rows)) if draw.randrange(SAMPLED.get(split, 1)) == 0]
    return [(rows[place], other["answer"]) for place in chosen for other in rows[place + 1 : place + 1 + NEIGHBOURS]]


@pytest.mark.parametrize(("name", "split"), [pair for pair in SPLITS if pair[0] in CHOICE])
def test_a_choice_answer_is_right_for_no_neighbour_with_another_answer(real_data, name, split):
    asked = pairs(real_data, name, split)
    taken = {(p["answer"], a) for p, a in asked if verdict(f"The answer is {a}.", p).is_right}
    assert [pair for pair in taken if not same_choice(*pair)] == []


@pytest.mark.parametrize(("name", "split"), [pair for pair in SPLITS if pair[0] in ("gsm8k", "svamp")])
def test_a_number_is_right_for_no_neighbour_with_another_answer(real_data, name, split):
    for problem, answer in pairs(real_data, name, split):
        assert same_answer(stated(answer), problem["answer"], "math") == (answer == problem["answer"])


def test_a_formula_is_right_for_no_neighbour_with_another_answer(real_data, monkeypatch):
    asked_of_math_verify = []
    with monkeypatch.context() as patch:
        patch.setattr(formulas, "equivalent", lambda *pair: asked_of_math_verify.append(pair))
        asked = pairs(real_data, "math", "test")
        taken = {(p["answer"], a) for p, a in asked if same_answer(stated(a), p["answer"], "math")}
    assert len(taken) > 100  # many answers are small numbers, and common
    taken |= {pair for pair in random.Random(0).sample(asked_of_math_verify, ASKED) if formulas.equivalent(*pair)}
    assert [pair for pair in taken if not same_value(*pair)] == []


@cache
def stated(answer: str) -> str:
    """A mathematical answer as it is read from a completion."""
    return extract_answer(f"The answer is {answer}.", "math")


def same_choice(one: str, other: str) -> bool:
    """The same text but for an article, or the same numerals where one of the two names no unit: `6` and `6 boxes`."""
    texts = [re.sub(r"^(?:an?|the) ", "", slashed(text.casefold())) for text in (one, other)]
    texts = [re.sub(r"[−–]", "-", "".join(text.split())).strip(".") for text in texts]
    numerals = [[Fraction(n) for n in re.findall(r"-?\d+(?:\.\d+|/[1-9]\d*)?", text)] for text in texts]
    units = [re.sub(r"about|[^a-z]", "", text) for text in texts]
    return texts[0] == texts[1] or (bool(numerals[0]) and numerals[0] == numerals[1] and "" in units)


def same_value(one: str, other: str) -> bool:
    r"""The same text (`\sqrt3` is `\sqrt{3}`), or numbers that are equal where `x = 5` is 5, 50 % both 50 and 1/2."""
    one, other = (re.sub(r"\\sqrt(\d)", r"\\sqrt{\1}", text) for text in (one, other))
    return one == other or bool(values(one) & values(other))


def values(text: str) -> set[Fraction]:
    """The numbers that a text can stand for, read by Python and not by the verifier; 1:2 is 1/2, and 9 am is 9."""
    number = re.sub(r"^[a-z] ?= ?| [ap]m$", "", slashed(text.strip())).replace(":", "/")
    if not re.fullmatch(r"-?\d+(\.\d+|/\d+)?%?", number):
        return set()
    value = Fraction(number.rstrip("%"))
    return {value, value / 100} if number.endswith("%") else {value}


def slashed(text: str) -> str:
    r"""`text` with `\frac{5}{4}` as 5/4."""
    return re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
