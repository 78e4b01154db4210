"""A user's own files: which row goes to which split."""

import json
from pathlib import Path

import pytest

from tasks import datasets
from tasks.errors import UserError


def write(file: Path, numbers: range) -> None:
    rows = [{"question": f"{n}+1?", "solution": f"{n}+1={n + 1}", "answer": n + 1} for n in numbers]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def questions(place: Path, split: str) -> set[str]:
    return set(datasets.load(str(place), split)["question"])


def test_one_file_is_cut_into_three_parts_of_about_80_10_and_10_percent(tmp_path):
    write(tmp_path / "mine.jsonl", range(2000))
    parts = [questions(tmp_path / "mine.jsonl", split) for split in ("train", "development", "test")]
    assert len(set.union(*parts)) == sum(len(part) for part in parts) == 2000
    # Binomial with n = 2000: 4 standard deviations are 72 rows for p = 0.8 and 54 for p = 0.1.
    assert abs(len(parts[0]) - 1600) < 72
    assert abs(len(parts[1]) - 200) < 54
    assert abs(len(parts[2]) - 200) < 54


def test_a_row_stays_in_its_part_when_rows_are_added_or_the_file_is_renamed(tmp_path):
    write(tmp_path / "short.jsonl", range(100))
    write(tmp_path / "long.jsonl", range(300))
    for split in ("train", "development", "test"):
        assert questions(tmp_path / "short.jsonl", split) <= questions(tmp_path / "long.jsonl", split)


def test_a_folder_has_a_file_for_each_split(tmp_path):
    for name, numbers in {"train": range(10), "validation": range(10, 15), "test": range(15, 18)}.items():
        write(tmp_path / f"{name}.jsonl", numbers)
    assert [len(questions(tmp_path, split)) for split in ("train", "development", "test")] == [10, 5, 3]


def test_a_missing_development_file_is_a_part_of_the_training_file(tmp_path):
    write(tmp_path / "train.jsonl", range(100))
    write(tmp_path / "test.jsonl", range(100, 103))
    train, development = questions(tmp_path, "train"), questions(tmp_path, "development")
    assert (len(train | development), len(train & development)) == (100, 0)
    assert development
    assert len(questions(tmp_path, "test")) == 3


def test_a_folder_with_a_training_file_alone_is_cut_like_one_file(tmp_path):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder/train.jsonl", range(100))
    write(tmp_path / "mine.jsonl", range(100))
    for split in ("train", "development", "test"):
        assert questions(tmp_path / "folder", split) == questions(tmp_path / "mine.jsonl", split)


def test_a_folder_without_the_wanted_file_says_which(tmp_path):
    write(tmp_path / "test.jsonl", range(3))
    with pytest.raises(UserError, match=r"there is no train\.jsonl in this folder"):
        datasets.load(str(tmp_path), "train")
    assert len(questions(tmp_path, "test")) == 3


def test_the_path_may_be_given_apart_from_the_name(tmp_path):
    write(tmp_path / "mine.jsonl", range(50))
    by_path = datasets.load("jsonl", "train", tmp_path / "mine.jsonl")
    assert by_path.equals(datasets.load(str(tmp_path / "mine.jsonl"), "train"))
    with pytest.raises(UserError, match="needs the path"):
        datasets.load("jsonl", "train")
