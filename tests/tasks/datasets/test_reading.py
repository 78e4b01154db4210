"""Rows of any dataset: what makes a problem, and the reason why one is set aside."""

import json

import pytest

from tasks import datasets
from tasks.dataset_rows import judge, repeats_an_option
from tasks.errors import UserError
from tasks.records import stable_id

GOOD = {"question": "What is 1+1?", "solution": "1+1=2", "answer": 2}


def read(tmp_path, *records, split="all"):
    """The records as a user's file mine.jsonl, read."""
    texts = [record if isinstance(record, str) else json.dumps(record) for record in records]
    (tmp_path / "mine.jsonl").write_text("\n".join(texts), encoding="utf-8")
    return datasets.read(str(tmp_path / "mine.jsonl"), split)


def test_a_good_row_becomes_a_problem_in_the_text_form(tmp_path):
    assert read(tmp_path, GOOD).problems.to_dicts() == [
        {
            "problem_id": stable_id("mine", "What is 1+1?", None),
            "question": "What is 1+1?",
            "solution": "1+1=2\nThe answer is 2.",
            "answer": "2",
            "options": None,
            "source": "mine",
            "split": "all",
            "subject": None,
        }
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": None}, "field 'answer' is missing"),
        ({"solution": None}, "field 'solution' is missing"),
        ({"question": None}, "field 'question' is missing"),
        ({"question": ["What?"]}, "field 'question' is not text but list"),
        ({"question": "  "}, "its question is empty"),
        ({"question": "\ud800"}, "not valid Unicode"),
        ({"answer": ""}, "its answer '' cannot be parsed"),
        ({"answer": "abc"}, "its answer 'abc' cannot be parsed as a number or a formula"),
        ({"answer": True}, "its answer 'True' cannot be parsed"),
        ({"answer": float("nan")}, "its answer 'nan' cannot be parsed"),
        ({"solution": "1+1=3\nThe answer is 3."}, "its solution does not end in its answer '2'"),
        ({"options": ["2"]}, "at least two texts"),
        ({"options": "2, 3"}, "at least two texts"),
        ({"options": ["3", "4"]}, "its answer '2' cannot be parsed as one of its options"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_reason(tmp_path, changes, reason):
    loaded = read(tmp_path, GOOD, GOOD | {"question": "What else?"} | changes)
    assert loaded.problems.height == 1
    (rejected,) = loaded.rejected
    assert reason in rejected["reason"]
    assert (rejected["where"], rejected["split"]) == ("mine.jsonl line 2", "all")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{'question'", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"question": ' + "9" * 5000 + "}", "not valid JSON"),
        ("[1, 2]", "not a JSON object"),
    ],
)
def test_a_line_that_is_no_json_object_is_set_aside(tmp_path, line, reason):
    assert reason in read(tmp_path, GOOD, line).rejected[0]["reason"]


def test_an_id_that_is_used_twice_is_set_aside(tmp_path):
    loaded = read(tmp_path, GOOD | {"id": 7}, GOOD | {"question": "What else?", "id": 7})
    assert loaded.problems["problem_id"].to_list() == [stable_id("mine", "7")]
    assert loaded.rejected[0]["reason"] == "its id 7 was already used by mine.jsonl line 1"


def test_a_row_that_repeats_another_is_left_out_and_one_that_contradicts_it_set_aside(tmp_path):
    loaded = read(tmp_path, GOOD, GOOD, GOOD | {"solution": "1+1=10 in base two", "answer": 10})
    assert (loaded.problems.height, loaded.repeats) == (1, 1)
    assert "already asked by mine.jsonl line 1 with another answer (2)" in loaded.rejected[0]["reason"]


@pytest.mark.parametrize(
    ("answer", "text"), [(72, "72"), (51.0, "51"), (0.5, "0.5"), ("1,000", "1000"), (r"\frac{1}{2}", "1/2")]
)
def test_answers_are_numbers_or_texts_in_one_form(tmp_path, answer, text):
    (problem,) = read(tmp_path, GOOD | {"answer": answer}).problems.to_dicts()
    assert (problem["answer"], problem["solution"]) == (text, f"1+1=2\nThe answer is {text}.")


@pytest.mark.parametrize("ending", ["The answer is 2.", "#### 2", "A: 2", r"so \boxed{2}"])
def test_a_solution_that_ends_in_its_answer_stays_as_it_is(tmp_path, ending):
    assert read(tmp_path, GOOD | {"solution": f"1+1=2\n{ending}"}).problems["solution"][0] == f"1+1=2\n{ending}"


def test_a_choice_is_given_by_text_or_letter(tmp_path):
    choice = {"question": "Wet?", "solution": "Rain is wet.", "options": ["sand", "rain"], "answer": "Rain"}
    loaded = read(tmp_path, choice, choice | {"question": "And now?", "answer": "B"})
    assert loaded.problems["answer"].to_list() == ["rain", "rain"]
    assert loaded.problems["solution"][0] == "Rain is wet.\nThe answer is rain."
    assert loaded.problems["options"][0].to_list() == ["sand", "rain"]


def test_more_than_five_percent_bad_rows_are_an_error_and_five_percent_are_not(tmp_path):
    good = [GOOD | {"question": f"What is {number}?"} for number in range(19)]
    read(tmp_path, *good, "nonsense")
    assert datasets.load(str(tmp_path / "mine.jsonl"), "all").height == 19  # 1 of 20 is 5 %
    read(tmp_path, *good[:18], "nonsense")
    with pytest.raises(UserError, match=r"mine.jsonl: 1 of 19 rows .* mine.jsonl line 19: not valid JSON"):
        datasets.load(str(tmp_path / "mine.jsonl"), "all")


def test_bad_rows_are_counted_over_a_file_that_is_cut_into_splits(tmp_path):
    good = [GOOD | {"question": f"What is {number}?"} for number in range(97)]
    bad = [GOOD | {"question": f"What is {number}?", "answer": "abc"} for number in range(97, 100)]
    parts = [read(tmp_path, *good, *bad, split=split) for split in ("train", "development", "test")]
    assert [(len(part.all_rejected), part.total) for part in parts] == [(3, 100)] * 3
    assert sum(len(part.rejected) for part in parts) == 3
    assert sum(datasets.load(str(tmp_path / "mine.jsonl"), s).height for s in ("train", "development", "test")) == 97


def test_unknown_names_splits_and_files_are_named():
    with pytest.raises(UserError, match="there is no dataset .* 'gms8k': did you mean 'gsm8k'"):
        datasets.load("gms8k", "test")
    with pytest.raises(UserError, match="svamp has no split 'tests': did you mean 'test'"):
        datasets.load("svamp", "tests")
    with pytest.raises(UserError, match=r"no/such.jsonl: there is no such file"):
        datasets.load("no/such.jsonl", "train")


def test_a_file_that_is_not_text_is_one_clear_line(tmp_path):
    (tmp_path / "mine.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"mine.jsonl: cannot be read"):
        datasets.load(str(tmp_path / "mine.jsonl"), "train")


def test_every_dataset_is_described_in_a_line_with_its_splits_licence_and_source():
    assert datasets.names() == [
        "arc_easy", "arithmetic", "ecqa", "gsm8k", "jsonl", "math", "mmlu_math", "openbookqa", "qasc", "svamp",
    ]  # fmt: skip
    for name in datasets.names():
        line, module = datasets.describe(name), datasets.get(name)
        assert "\n" not in line
        assert line.endswith(f"; {module.SOURCE}; {module.LICENCE}")
        assert all(split in line for split in module.SPLITS)
    assert "[train 6962, development 511, test 1319]" in datasets.describe("gsm8k")
    assert "[train, development, test 5000]" in datasets.describe("math")
    assert "[train, development, test, all]" in datasets.describe("jsonl")


@pytest.mark.parametrize("name", [name for name in datasets.names() if name != "jsonl"])
def test_a_dataset_has_the_rows_that_it_is_said_to_have(name, request):
    module = datasets.get(name)
    folder = None if module.HUB is None else request.getfixturevalue("real_data") / name
    counts = {}
    for split in module.ROWS:
        rows = [record.get("split", split) for _, record in module.rows(split, folder)]
        counts[split] = rows.count(split)
    assert counts == module.ROWS


def test_a_subject_is_kept_and_must_be_text():
    record = GOOD | {"answer": "2", "subject": " Algebra "}
    assert judge(record, "mine").subject == "Algebra"
    assert judge(record | {"subject": ""}, "mine").subject is None
    assert "field 'subject' is not text but int" in judge(record | {"subject": 1}, "mine").reason


def test_options_that_differ_in_case_are_two_and_in_spaces_one():
    assert repeats_an_option(["687", "687", "1,493"])
    assert repeats_an_option(["a  tree", "a tree "])
    assert not repeats_an_option(["Sc", "sC"])  # formulas of logic
    assert not repeats_an_option(None)


def test_half_of_a_surrogate_pair_is_set_aside_where_a_file_is_carved_too(tmp_path):
    loaded = read(tmp_path, GOOD, GOOD | {"question": "\ud800"}, split="train")
    assert "not valid Unicode" in loaded.all_rejected[0]["reason"]
