"""How well credit finds errors, on samples worked by hand."""

import numpy
import polars as pl
import pytest

from tasks.errors import UserError
from tasks.measure_credit import Blame, MeasureCreditOptions, auc, measure_credit, quality
from tasks.records import table, write_table


def test_the_worked_example():
    """Of a b c d the teacher replaced b and d; the source finds them 0.9, 0.2, 0.5, 0.6 probable; b and c cost."""
    sample = Blame(["replace", "replace"], [1, 3], [0.9, 0.2, 0.5, 0.6], [0, -0.1, -0.1, 0])
    found = quality([sample])
    # Wrong 0.2 0.6, others 0.9 0.5: 0.2 is below both, 0.6 below one. Of b and c one is wrong, of b and d one is found.
    assert found == {"auc_first_error": 1.0, "auc_all": 0.75, "hit_rate": 1.0, "precision": 0.5, "recall": 0.5}


def test_what_comes_after_the_first_error_does_not_count_up_to_it():
    late = Blame(["replace"], [1], [0.9, 0.4, 0.1], [0, 0, 0])
    assert quality([late])["auc_first_error"] == 1.0
    assert quality([late])["auc_all"] == 0.5  # below 0.9, above 0.1
    assert quality([late])["hit_rate"] == 0.0


def test_a_source_that_blames_all_alike_knows_nothing():
    found = quality([Blame(["delete"], [2], None, [-1.0] * 4)])
    assert found["auc_first_error"] == found["auc_all"] == 0.5
    assert found["hit_rate"] == 0.25  # one of four
    assert (found["precision"], found["recall"]) == (0.25, 1.0)


def test_without_probabilities_the_reward_is_the_blame():
    found = quality([Blame(["replace"], [1], None, [0.3, -0.2, 0.1])])
    assert (found["auc_all"], found["hit_rate"]) == (1.0, 1.0)


def test_where_something_is_missing_the_token_in_its_place_is_wrong():
    assert Blame(["insert"], [1], None, [0, 0, 0]).wrong.tolist() == [False, True, False]
    assert not Blame(["insert"], [3], None, [0, 0, 0]).wrong.any()  # at the very end


def test_tokens_of_all_samples_are_ranked_together():
    # Wrong 1 and 3, others 0 and 2 (blame): of four pairs 1>0, 3>0, 3>2 are in order.
    wrong = numpy.array([True, False, True, False])
    assert auc(wrong, numpy.array([1, 0, 3, 2])) == 0.75
    assert auc(wrong, numpy.array([1, 1, 1, 1])) == 0.5
    assert auc(wrong[:1], numpy.array([1])) is None


@pytest.fixture
def inputs(tmp_path):
    def edit(sample_id, position):
        marks = [place == position for place in range(3)]
        return {"sample_id": sample_id, "kinds": ["replace"], "source_positions": [position],
                "target_positions": [position], "sample_edited": marks, "rewrite_edited": marks}  # fmt: skip

    def rewrite(sample_id, reason):
        return {"sample_id": sample_id, "rewriter": "grm", "rewrite_ids": [1], "rewrite": "", "is_right": not reason,
                "edit_distance": 1, "edit_fraction": 0.1, "attempts": 1, "reject_reason": reason}  # fmt: skip

    def score(sample_id, rewards):
        return {"sample_id": sample_id, "credit_source": "x", "rewards": rewards, "reference_logprobs": [0.0] * 3}

    tables = {
        "edits": [edit("a", 0), edit("b", 1), edit("c", 2)],
        "rewrites": [rewrite("a", None), rewrite("b", "wrong answer"), rewrite("c", "no answer")],
        "token_rewards": [score(name, [-1.0, 0.0, 0.0]) for name in ("a", "b", "c", "right one")],
    }
    paths = {name: tmp_path / f"{name}.parquet" for name in tables}
    for name, rows in tables.items():
        write_table(table(name, rows), name, paths[name])
    return paths


def test_samples_are_apart_by_what_became_of_the_reward_models_rewrite(inputs, tmp_path):
    logged = {}
    measure_credit(MeasureCreditOptions(), inputs, tmp_path, log=lambda numbers, step=None: logged.update(numbers))
    rows = {row["group"]: row for row in pl.read_parquet(tmp_path / "credit_quality.parquet").to_dicts()}
    assert {name: row["samples"] for name, row in rows.items()} == {"all": 3, "right": 1, "wrong": 1, "failed": 1}
    # The first token is blamed everywhere: that is right in a alone.
    assert [rows[name]["hit_rate"] for name in ("right", "wrong", "failed")] == [1.0, 0.0, 0.0]
    assert rows["all"]["precision"] == pytest.approx(1 / 3)
    assert logged["hit_rate/right"] == 1.0


def test_without_any_teachers_rewrite_there_is_nothing_to_measure(inputs, tmp_path):
    write_table(table("edits", []), "edits", inputs["edits"])
    with pytest.raises(UserError, match="no wrong sample has an accepted rewrite"):
        measure_credit(MeasureCreditOptions(), inputs, tmp_path)
