"""ECQA, QASC, OpenBookQA and ARC-Easy: their local files, their fields on the hub, and what is set aside."""

import json

import pytest

from tasks import datasets
from tasks.errors import UserError

NAMES = ("ecqa", "qasc", "openbookqa", "arc_easy")
SOIL = {
    "problem": "What makes soil wet?\nOptions:\nsand\nrain\na tree",
    "solution": "Rain is water.\nThe answer is Rain",
    "answer": "Rain",
}
CHOICES = {"text": ["sand", "Rain", "a tree"], "label": ["A", "B", "C"]}
HUB_ROWS = {
    "ecqa": {
        "q_text": "What makes soil wet?",
        **{f"q_op{n}": text for n, text in enumerate(("sand", "Rain", "a tree", "dust", "wind"), start=1)},
        "q_ans": "rain",
        "taskA_pos": "Rain is water.\nThe answer is near.",  # a fact may look like a statement of the answer
    },
    "qasc": {
        "question": "What makes soil wet?",
        "choices": CHOICES,
        "answerKey": "B",
        "fact1": "Rain is water.",
        "fact2": "Water makes soil wet",
        "combinedfact": "Rain makes soil wet",
    },
    "openbookqa": {
        "question_stem": "What makes soil wet?",
        "choices": CHOICES,
        "answerKey": "B",
        "fact1": "Rain is water.",
    },
    "arc_easy": {
        "question": "What makes soil wet?",
        "choices": CHOICES | {"label": ["1", "2", "3"]},
        "answerKey": "2",
    },
}
HUB_SOLUTIONS = {
    "ecqa": "Rain is water.\nThe answer is near.\nThe answer is Rain.",
    "qasc": "Rain is water.\nWater makes soil wet\nRain makes soil wet\nThe answer is Rain.",
    "openbookqa": "Rain is water.\nThe answer is Rain.",
    "arc_easy": "The answer is Rain.",
}


def read(tmp_path, *lines, name="qasc"):
    """The rows of a test.jsonl with these lines."""
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (tmp_path / "test.jsonl").write_bytes(b"\n".join(texts))
    return datasets.read(name, "test", tmp_path)


@pytest.fixture
def hub(monkeypatch):
    """A hub that has a row of each dataset in the fields it is published with, and notes what it is asked for."""
    import datasets as library

    asked = []

    def load_dataset(repository, configuration, split):
        asked.append((repository, configuration, split))
        return [HUB_ROWS[next(name for name in NAMES if (repository, configuration) == datasets.get(name).HUB)]]

    monkeypatch.setattr(library, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize("name", NAMES)
def test_question_and_options_are_taken_apart_and_the_answer_is_an_option_in_its_own_letters(name, tmp_path):
    (problem,) = read(tmp_path, SOIL, name=name).problems.to_dicts()
    assert (problem["question"], problem["options"]) == ("What makes soil wet?", ["sand", "rain", "a tree"])
    assert (problem["answer"], problem["solution"]) == ("rain", "Rain is water.\nThe answer is rain.")
    assert (problem["source"], problem["split"], problem["subject"]) == (name, "test", None)


def test_the_validation_file_is_the_development_split(tmp_path):
    (tmp_path / "validation.jsonl").write_text(json.dumps(SOIL))
    assert datasets.load("arc_easy", "development", tmp_path).height == 1
    with pytest.raises(UserError, match=r"train\.jsonl: there is no such file"):
        datasets.load("arc_easy", "train", tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_fields_of_the_hub_give_the_same_problem(name, hub):
    (problem,) = datasets.load(name, "test").to_dicts()
    assert problem["question"] == "What makes soil wet?"
    assert problem["options"][:3] == ["sand", "Rain", "a tree"]
    assert (problem["answer"], problem["solution"]) == ("Rain", HUB_SOLUTIONS[name])


@pytest.mark.parametrize("name", NAMES)
def test_each_split_is_asked_of_the_hub_by_its_name_there(name, hub):
    for split in ("train", "development", "test"):
        datasets.load(name, split)
    # QASC's test labels are not public: its validation split is test, and its development comes from train.
    asked = ("train", "train", "validation") if name == "qasc" else ("train", "validation", "test")
    assert hub == [(*datasets.get(name).HUB, split) for split in asked]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"problem": "What makes soil wet?"}, "its problem has no line 'Options:'"),
        ({"problem": "What makes soil wet?\nOptions:\nrain"}, "not a list of at least two texts"),
        ({"problem": "What makes soil wet?\nOptions:\nsand\n\nrain"}, "not a list of at least two texts"),
        ({"answer": "mud", "solution": "The answer is mud"}, "its answer 'mud' cannot be parsed as one of its options"),
        ({"answer": float("nan")}, "its answer 'nan' cannot be parsed"),
        ({"answer": float("inf")}, "its answer 'inf' cannot be parsed"),
        ({"answer": None}, "field 'answer' is missing"),
        ({"solution": "Rain is water.\nThe answer is sand"}, "its solution does not end in its answer 'rain'"),
        ({"problem": "\ud800\nOptions:\nsand\nrain"}, "not valid Unicode"),
    ],
)
def test_a_row_that_is_no_choice_problem_is_set_aside_with_its_reason(tmp_path, changes, reason):
    loaded = read(tmp_path, SOIL, SOIL | changes)
    assert loaded.problems.height == 1
    assert [row["where"] for row in loaded.rejected] == ["test.jsonl line 2"]
    assert reason in loaded.rejected[0]["reason"]


def test_an_answer_may_differ_from_its_option_in_case_and_spaces(tmp_path):
    loaded = read(tmp_path, SOIL | {"answer": " A  Tree", "solution": "The answer is A  Tree"})
    assert loaded.problems.select("answer", "solution").rows() == [("a tree", "The answer is a tree.")]


def test_a_line_that_is_not_utf8_is_set_aside_and_the_others_stay(tmp_path):
    loaded = read(tmp_path, SOIL, b'{"problem": "caf\xe9"}', SOIL | {"problem": "Why?\nOptions:\nrain\nsun"})
    assert loaded.problems.height == 2
    assert [row["where"] for row in loaded.rejected] == ["test.jsonl line 2"]
    assert "utf-8" in loaded.rejected[0]["reason"]


def test_an_option_listed_twice_is_kept_and_counted(tmp_path):
    twice = SOIL | {"problem": "What is wet?\nOptions:\nsand\nrain\nrain "}
    loaded = read(tmp_path, SOIL, twice)
    assert (loaded.problems.height, loaded.repeated_options, loaded.rejected) == (2, 1, [])


def test_a_file_in_another_published_format_is_named_with_the_fields_expected(tmp_path):
    read(tmp_path, {"id": "x", "question": {"stem": "Wet?", "choices": []}, "answerKey": "A"})
    with pytest.raises(UserError) as error:
        datasets.load("qasc", "test", tmp_path)
    assert "1 of 1 rows for test cannot be used" in str(error.value)
    assert "test.jsonl line 1: field 'problem' is missing (problem, solution, answer were expected" in str(error.value)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("qasc", {"answerKey": "H"}, "its answerKey 'H' is none of its labels A, B, C"),
        ("qasc", {"answerKey": None}, "field 'answerKey' is missing"),
        ("openbookqa", {"choices": None}, "field 'choices' is missing"),
        ("openbookqa", {"choices": ["sand", "rain"]}, "not a list of texts and a list of as many labels"),
        ("arc_easy", {"choices": {"text": ["sand"], "label": ["1", "2"]}}, "a list of as many labels"),
        ("arc_easy", {"choices": {"text": [None, "rain"], "label": ["1", "2"]}}, "at least two texts"),
        ("ecqa", {"q_op3": None}, "field 'q_op3' is missing"),
        ("ecqa", {"q_ans": "mud"}, "its answer 'mud' cannot be parsed as one of its options"),
    ],
)
def test_a_hub_row_that_is_no_choice_problem_is_set_aside_with_its_reason(name, changes, reason, hub, monkeypatch):
    monkeypatch.setitem(HUB_ROWS, name, HUB_ROWS[name] | changes)
    (rejected,) = datasets.read(name, "test").rejected
    assert reason in rejected["reason"]
