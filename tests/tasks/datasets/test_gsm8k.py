"""GSM8K from its published files."""

import json
import os
from pathlib import Path

import pytest

from tasks import datasets
from tasks.answers import is_right
from tasks.datasets.gsm8k import convert
from tasks.errors import UserError

NATALIA = {
    "question": "How many clips did Natalia sell?",
    "answer": "Natalia sold 48/2 = <<48/2=24>>24 in May.\nIn all 48+24 = <<48+24=72>>72 clips.\n#### 72",
}


@pytest.fixture
def published() -> Path:
    folder = os.environ.get("RLMEC_DATA")
    if not folder or not (Path(folder) / "gsm8k/train.jsonl").exists():
        pytest.skip("RLMEC_DATA names no folder with gsm8k/train.jsonl")
    return Path(folder) / "gsm8k"


def test_marks_go_and_the_last_line_states_the_answer():
    assert convert(NATALIA) == {
        "question": "How many clips did Natalia sell?",
        "solution": "Natalia sold 48/2 = 24 in May.\nIn all 48+24 = 72 clips.\nThe answer is 72.",
        "answer": "72",
    }


def test_thousands_separators_go_from_the_answer():
    record = convert(NATALIA | {"answer": "He pays 2*500=$1,000.\n#### 1,000"})
    assert record["solution"] == "He pays 2*500=$1,000.\nThe answer is 1000."
    assert record["answer"] == "1000"


def test_rows_without_an_answer_or_its_mark_are_set_aside(tmp_path):
    broken = [{"question": "What?"}, NATALIA | {"answer": "72"}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (NATALIA, *broken)))
    loaded = datasets.read("gsm8k", "test", tmp_path)
    assert loaded.problems.height == 1
    assert [row["reason"] for row in loaded.rejected] == [
        "field 'answer' is missing",
        "its answer has no final line '#### ...'",
    ]


def test_a_folder_without_the_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"train\.jsonl: there is no such file"):
        datasets.load("gsm8k", "train", tmp_path)


def test_without_a_folder_a_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch):
    import datasets as hub

    def unreachable(*_args, **_options):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(hub, "load_dataset", unreachable)
    with pytest.raises(UserError, match=r"openai/gsm8k cannot be had from the hub \(no route\): give the folder"):
        datasets.load("gsm8k", "test")


def test_without_a_folder_the_rows_come_from_the_hub(monkeypatch):
    import datasets as hub

    calls = []
    monkeypatch.setattr(hub, "load_dataset", lambda *names, split: calls.append((*names, split)) or [NATALIA])
    assert datasets.load("gsm8k", "test")["answer"].to_list() == ["72"]
    assert calls == [("openai/gsm8k", "main", "test")]


def test_every_published_row_is_a_problem_whose_solution_is_right(published):
    tables = {split: datasets.load("gsm8k", split, published) for split in ("train", "development", "test")}
    assert tables["train"].height + tables["development"].height == 7473
    assert 450 < tables["development"].height < 550
    assert tables["test"].height == 1319
    assert not set(tables["train"]["problem_id"]) & set(tables["development"]["problem_id"])
    for table in tables.values():
        for row in table.iter_rows(named=True):
            assert is_right(row["solution"], row["answer"], "math")
            assert row["solution"].endswith(f"\nThe answer is {row['answer']}.")
            assert "<<" not in row["solution"]
            assert "," not in row["answer"]
