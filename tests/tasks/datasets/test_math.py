r"""MATH: the answer in \boxed{}, its two local layouts, its configurations on the hub."""

import json

import pytest

from tasks import datasets
from tasks.errors import UserError

SUM = {
    "problem": "What is $1+1$?",
    "level": "Level 1",
    "type": "Counting & Probability",
    "solution": r"We count: $1+1 = \boxed{2}$.",
}


def read(tmp_path, *rows, split="test"):
    (tmp_path / "test.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return datasets.read("math", split, tmp_path)


def test_a_solution_that_ends_in_its_box_stays_and_its_type_is_the_subject(tmp_path):
    (problem,) = read(tmp_path, SUM).problems.to_dicts()
    assert (problem["solution"], problem["answer"]) == (SUM["solution"], "2")
    assert (problem["subject"], problem["options"], problem["source"]) == ("Counting & Probability", None, "math")


@pytest.mark.parametrize(
    ("solution", "answer", "added"),
    [
        (r"So \boxed{2}." + "\n\nOr count on fingers.", "2", "\nThe answer is 2."),
        (r"First \boxed{1}, then \boxed{\frac{3}{2}}.", "3/2", ""),  # the last box counts
        ("So it is\n\\boxed{90\\text{ square\nunits}}.", "90", "\nThe answer is 90."),  # the box begins a line earlier
        (r"So \boxed{\text{Friday}}.", "Friday", ""),
        (r"So \boxed{(-\infty, 2) \cup (3, \infty)}.", r"(-\infty, 2) \cup (3, \infty)", ""),
    ],
)
def test_the_answer_is_what_the_last_box_holds_and_stands_in_the_last_line(tmp_path, solution, answer, added):
    (problem,) = read(tmp_path, SUM | {"solution": solution}).problems.to_dicts()
    assert (problem["answer"], problem["solution"]) == (answer, solution + added)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"solution": "It is 2."}, r"its solution has no answer in \boxed{}"),
        ({"solution": r"It is \boxed{2."}, r"its solution has no answer in \boxed{}"),
        ({"solution": r"It is \boxed{NaN}."}, "its answer 'NaN' cannot be parsed as a number or a formula"),
        ({"solution": r"It is \boxed{inf}."}, "its answer 'inf' cannot be parsed as a number or a formula"),
        ({"solution": None}, "field 'solution' is missing (problem, type, solution were expected"),
        ({"type": None}, "field 'type' is missing"),
        ({"type": 3}, "field 'subject' is not text but int"),
        ({"problem": "\ud800"}, "not valid Unicode"),
    ],
)
def test_a_row_without_a_checkable_answer_is_set_aside_with_its_reason(tmp_path, changes, reason):
    loaded = read(tmp_path, SUM, SUM | {"problem": "Else?"} | changes)
    assert loaded.problems.height == 1
    assert reason in loaded.rejected[0]["reason"]


def test_problems_may_lie_a_file_each_as_they_are_published(tmp_path):
    for number, name in enumerate(("algebra/1.json", "algebra/0.json", "geometry/0.json")):
        file = tmp_path / "test" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(SUM | {"problem": f"What is {number}?"}, indent=2))
    (tmp_path / "test/geometry/1.json").write_bytes(b"{\xff}")
    loaded = datasets.read("math", "test", tmp_path)
    assert loaded.problems["question"].to_list() == ["What is 1?", "What is 0?", "What is 2?"]
    assert [row["where"] for row in loaded.rejected] == ["test/geometry/1.json"]


def test_a_part_of_the_training_file_is_the_development_split(tmp_path):
    rows = [json.dumps(SUM | {"problem": f"What is {number}?"}) for number in range(600)]
    rows[0] = rows[0].replace("What is 0?", "\\ud800")  # it has a split all the same
    (tmp_path / "train.jsonl").write_text("\n".join(rows))
    train, development = (datasets.load("math", split, tmp_path) for split in ("train", "development"))
    assert train.height + development.height == 599
    # Binomial with n = 600, p = 1/15: mean 40, 4 standard deviations 24.
    assert abs(development.height - 40) < 24
    assert not set(train["problem_id"]) & set(development["problem_id"])


def test_every_subject_is_asked_of_the_hub(monkeypatch):
    import datasets as library

    asked = []

    def load_dataset(repository, configuration, split):
        asked.append((repository, configuration, split))
        return [SUM | {"problem": f"What of {configuration}?"}]

    monkeypatch.setattr(library, "load_dataset", load_dataset)
    assert datasets.load("math", "test").height == 7
    assert {(repository, split) for repository, _, split in asked} == {("EleutherAI/hendrycks_math", "test")}
    assert "What of precalculus?" in datasets.load("math", "test")["question"].to_list()
    assert datasets.load("math", "train").height + datasets.load("math", "development").height == 7
    assert asked[-1][2] == "train"


def test_a_folder_without_the_split_is_named(tmp_path):
    with pytest.raises(UserError, match=r"test\.jsonl: there is no such file"):
        datasets.load("math", "test", tmp_path)
