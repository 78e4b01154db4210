"""SVAMP from its published file."""

import json
import os
from pathlib import Path

import pytest

from tasks import datasets
from tasks.answers import is_right
from tasks.datasets.svamp import convert
from tasks.errors import UserError

DVDS = {
    "ID": "chal-1",
    "Body": "Each pack of dvds costs 76 dollars",
    "Question": "How much do 2 packs cost with 25 dollars off?",
    "Equation": "( ( 2.0 * 76.0 ) - 25.0 )",
    "Answer": 127.0,
}


def test_body_and_question_are_joined_and_the_equation_is_the_solution(tmp_path):
    (tmp_path / "test.json").write_text(json.dumps([DVDS]))
    (row,) = datasets.load("svamp", "test", tmp_path).to_dicts()
    assert row["question"] == "Each pack of dvds costs 76 dollars. How much do 2 packs cost with 25 dollars off?"
    assert row["solution"] == "(2 * 76) - 25 = 127\nThe answer is 127."  # 152 - 25
    assert (row["answer"], row["options"], row["source"], row["split"]) == ("127", None, "svamp", "test")


@pytest.mark.parametrize(
    ("equation", "line"),
    [
        ("( 76.0 - 25.0 )", "76 - 25 = 127"),
        ("( 3.0 + 4.0 ) * ( 5.0 - 2.5 )", "(3 + 4) * (5 - 2.5) = 127"),
        ("( 100.0 + 27.0 )", "100 + 27 = 127"),
        ("127.0", ""),
    ],
)
def test_equations_lose_their_outer_parentheses_and_zeros(equation, line):
    assert convert(DVDS | {"Equation": equation})["solution"] == line


def test_items_that_lack_a_field_are_set_aside(tmp_path):
    items = [
        DVDS,
        {**DVDS, "ID": "chal-2", "Answer": None},
        {**DVDS, "ID": "chal-3", "Equation": None},
        7,
        DVDS,
    ]
    (tmp_path / "test.json").write_text(json.dumps(items))
    assert [row["reason"] for row in datasets.read("svamp", "test", tmp_path).rejected] == [
        "field 'answer' is missing",
        "field 'solution' is missing",
        "not a JSON object",
        "its id 'chal-1' was already used by test.json item 1",
    ]


def test_a_file_that_is_not_json_is_one_clear_line(tmp_path):
    (tmp_path / "test.json").write_text("[{")
    with pytest.raises(UserError, match=r"test\.json: not valid JSON"):
        datasets.load("svamp", "test", tmp_path)


def test_every_published_item_is_a_problem_whose_solution_is_right():
    folder = os.environ.get("RLMEC_DATA")
    if not folder or not (Path(folder) / "svamp/test.json").exists():
        pytest.skip("RLMEC_DATA names no folder with svamp/test.json")
    table = datasets.load("svamp", "test", Path(folder) / "svamp")
    assert table.height == 1000
    for row in table.iter_rows(named=True):
        assert is_right(row["solution"], row["answer"], "math")
