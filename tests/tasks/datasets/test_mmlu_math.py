"""MMLU mathematics: answers by place, subjects, and what is set aside."""

import json

import pytest

from tasks import datasets
from tasks.errors import UserError

HALF = {
    "question": "What is half of 8?",
    "subject": "elementary_mathematics",
    "choices": ["8", "−4", "4", "2"],
    "answer": 2,
}


def read(tmp_path, *items):
    (tmp_path / "test.json").write_text(json.dumps(items))
    return datasets.read("mmlu_math", "test", tmp_path)


def test_the_answer_is_the_text_of_the_choice_at_its_place(tmp_path):
    (problem,) = read(tmp_path, HALF).problems.to_dicts()
    assert (problem["answer"], problem["solution"]) == ("4", "The answer is 4.")
    assert (problem["options"], problem["subject"]) == (["8", "−4", "4", "2"], "elementary_mathematics")


def test_a_choice_with_a_typographic_minus_is_its_own(tmp_path):
    assert read(tmp_path, HALF | {"answer": 1}).problems["answer"].to_list() == ["−4"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": 4}, "its answer '4' is no place among its 4 choices, from 0"),
        ({"answer": -1}, "its answer '-1' is no place among its 4 choices, from 0"),
        ({"answer": "C"}, "its answer 'C' is no place"),
        ({"answer": True}, "its answer 'True' is no place"),
        ({"answer": float("nan")}, "its answer 'nan' is no place"),
        ({"answer": float("inf")}, "its answer 'inf' is no place"),
        ({"answer": None}, "field 'answer' is missing"),
        ({"choices": None}, "field 'choices' is missing"),
        ({"choices": "8, 4, 2"}, "its choices are not a list but str"),
        ({"choices": []}, "is no place among its 0 choices"),
        ({"choices": ["8", None, "4"]}, "at least two texts"),
        ({"subject": None}, "field 'subject' is missing"),
    ],
)
def test_an_item_that_is_no_choice_problem_is_set_aside_with_its_reason(tmp_path, changes, reason):
    loaded = read(tmp_path, HALF, HALF | {"question": "Else?"} | changes, [])
    assert loaded.problems.height == 1
    assert reason in loaded.rejected[0]["reason"]
    assert (loaded.rejected[1]["where"], loaded.rejected[1]["reason"]) == ("test.json item 3", "not a JSON object")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"question": 1}\n{"question": 2}', "not valid JSON .*one list of objects was expected"),
        (b'{"data": []}', "one list of objects was expected, and it holds a dict"),
        (b'["caf\xe9"]', "not valid JSON .*utf-8.*one list of objects was expected"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_file_in_another_format_is_named_with_what_was_expected(tmp_path, content, message):
    (tmp_path / "test.json").write_bytes(content)
    with pytest.raises(UserError, match=rf"test\.json: {message}"):
        datasets.load("mmlu_math", "test", tmp_path)


def test_every_subject_is_asked_of_the_hub(monkeypatch):
    import datasets as library

    asked = []

    def load_dataset(repository, configuration, split):
        asked.append((repository, split))
        return [HALF | {"question": f"What of {configuration}?", "subject": configuration}]

    monkeypatch.setattr(library, "load_dataset", load_dataset)
    assert datasets.load("mmlu_math", "test")["subject"].to_list() == list(datasets.get("mmlu_math").HUB[1])
    assert asked == [("cais/mmlu", "test")] * 5
