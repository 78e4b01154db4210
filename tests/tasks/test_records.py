"""Tables and ids: the same in every process, and a table of another shape is named."""

import subprocess
import sys

import polars as pl
import pytest

from tasks.errors import UserError
from tasks.records import SCHEMAS, derive_seed, mean, read_table, stable_id, table, write_table


def test_ids_and_seeds_are_the_same_in_another_process():
    code = "from tasks.records import *; print(stable_id('p', [1, 2]), derive_seed(7, 'sample', 3))"
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed}
        )
        assert told.stdout.split() == [stable_id("p", [1, 2]), str(derive_seed(7, "sample", 3))]


def test_ids_tell_apart_what_only_looks_the_same_when_joined():
    assert stable_id("ab", "c") != stable_id("a", "bc")
    assert stable_id("1") != stable_id(1)


def test_seeds_differ_by_every_part_and_fit_in_63_bits():
    seeds = {derive_seed(seed, stage, row) for seed in range(3) for stage in ("sample", "score") for row in range(50)}
    assert len(seeds) == 3 * 2 * 50
    assert max(seeds) < 2**63


def test_a_table_comes_back_as_it_was_written(tmp_path):
    row = {"benchmark": "test", "problem_id": "p", "number": 0, "completion": "x", "extracted_answer": None,
           "is_right": False}  # fmt: skip
    write_table(table("predictions", [row]), "predictions", tmp_path / "predictions.parquet")
    assert read_table("predictions", tmp_path / "predictions.parquet").to_dicts() == [row]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.parquet"]  # no partial file stays


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_empty_table_keeps_its_columns_and_types(name, tmp_path):
    write_table(table(name, []), name, tmp_path / "empty.parquet")
    assert dict(read_table(name, tmp_path / "empty.parquet").schema) == dict(pl.Schema(SCHEMAS[name]))


def test_another_shape_is_named_with_file_and_column(tmp_path):
    pl.DataFrame({"benchmark": [1]}).write_parquet(tmp_path / "odd.parquet")
    with pytest.raises(UserError, match=r"odd\.parquet: column 'benchmark' of predictions should be String"):
        read_table("predictions", tmp_path / "odd.parquet")


def test_a_table_of_problems_from_before_there_were_subjects_is_read_with_nulls(tmp_path):
    row = {"problem_id": "p", "question": "1+1?", "solution": "The answer is 2.", "answer": "2", "source": "mine"}
    table("problems", [row]).drop("subject").write_parquet(tmp_path / "old.parquet")
    assert read_table("problems", tmp_path / "old.parquet")["subject"].to_list() == [None]
    assert read_table("problems", tmp_path / "old.parquet", ["subject", "answer"]).rows() == [(None, "2")]
    assert read_table("problems", tmp_path / "old.parquet", ["answer"]).columns == ["answer"]


def test_a_file_that_is_missing_or_no_parquet_is_named(tmp_path):
    with pytest.raises(UserError, match="absent.parquet"):
        read_table("predictions", tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    with pytest.raises(UserError, match="text.parquet"):
        read_table("predictions", tmp_path / "text.parquet")


def test_the_mean_of_nothing_is_zero():
    assert mean(pl.Series([], dtype=pl.Boolean)) == 0.0
    assert mean(pl.Series([True, False, True, True])) == 0.75
