"""Shards: the same table however often the work was interrupted, and no shard made twice."""

from pathlib import Path

import polars as pl
import pytest

from tasks.records import SCHEMAS, read_table, table
from tasks.work import Span, Work, spans


class Killed(BaseException):
    pass


class Predictor:
    """Makes a row of predictions for each row of a span, and may be killed at a row."""

    def __init__(self, killed_at=None):
        self.killed_at = killed_at
        self.made = []

    def __call__(self, span: Span) -> pl.DataFrame:
        if self.killed_at in range(*span):
            raise Killed
        self.made.append(span)
        rows = [
            {"benchmark": "test", "problem_id": str(row), "completion": "", "extracted_answer": None, "is_right": True}
            for row in range(*span)
        ]
        return table("predictions", rows)


@pytest.fixture
def out(tmp_path) -> Path:
    """Where the table goes."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "predictions.parquet"


def numbers():
    logged = {}
    return logged, lambda metrics, step=None: logged.update(metrics)


def test_rows_are_cut_into_spans_the_last_one_shorter():
    assert spans(5, 2) == [(0, 2), (2, 4), (4, 5)]
    assert spans(0, 2) == []


def test_a_killed_stage_goes_on_with_the_shards_that_are_missing(tmp_path, out):
    """Seven rows in shards of 2; killed in the third, at row 5: two shards are there, two are still to make."""
    logged, log = numbers()
    with pytest.raises(Killed):
        Work(tmp_path).table(out, 7, 2, Predictor(killed_at=5), "evaluate", log)
    again = Predictor()
    whole = Work(tmp_path).table(out, 7, 2, again, "evaluate", log).collect()
    assert again.made == [(4, 6), (6, 7)]
    assert logged == {"shards": 4, "shards_resumed": 2}
    assert whole["problem_id"].to_list() == list("0123456")


def test_shards_may_end_in_any_order(tmp_path, out):
    def backwards(make, spans):
        return map(make, reversed(spans))

    _, log = numbers()
    Work().table(out, 7, 2, Predictor(), "evaluate", log)
    in_order = out.read_bytes()
    Work(tmp_path, backwards).table(out, 7, 2, Predictor(), "evaluate", log)
    assert out.read_bytes() == in_order


def test_no_rows_make_an_empty_table_with_its_columns(tmp_path, out):
    _, log = numbers()
    nothing = Work(tmp_path).table(out, 0, 2, Predictor(), "evaluate", log).collect()
    assert nothing.columns == list(SCHEMAS["predictions"])


def test_without_a_folder_nothing_is_kept(out):
    _, log = numbers()
    assert len(Work().table(out, 3, 2, Predictor(), "evaluate", log).collect()) == 3


def test_half_a_shard_is_made_again(tmp_path, out):
    """A shard has its name only when it is whole: what a kill left under another name does not count."""
    (tmp_path / ".predictions-00000000-00000002.parquet.partial").write_bytes(b"PAR1")
    again = Predictor()
    _, log = numbers()
    Work(tmp_path).table(out, 2, 2, again, "evaluate", log)
    assert again.made == [(0, 2)]
    assert len(read_table("predictions", tmp_path / "predictions-00000000-00000002.parquet")) == 2
