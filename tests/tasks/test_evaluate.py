"""Accuracy and what else several completions say, and two models on the same problems."""

import polars as pl
import pytest

from tasks.compare_predictions import CompareOptions, compare_predictions
from tasks.errors import UserError
from tasks.evaluate import EvaluateOptions, accuracy_rows, evaluate, figures, majority, pass_at_k
from tasks.intervals import wilson
from tasks.records import read_table, table, write_table


def predictions_of(rights, benchmark="test", answers=None):
    """A predictions table: `rights` has one string of 0 and 1 a problem, a digit a completion."""
    rows = [
        {
            "benchmark": benchmark,
            "problem_id": f"{benchmark} {place}",
            "number": number,
            "completion": "",
            "extracted_answer": answers[place][number] if answers else digit,
            "is_right": digit == "1",
        }
        for place, digits in enumerate(rights)
        for number, digit in enumerate(digits)
    ]
    return table("predictions", rows)


def test_pass_at_k_is_the_share_of_choices_of_k_that_hold_a_right_one():
    # of 4 completions 1 is right: 3 of the 6 pairs hold it
    assert pass_at_k(4, 1, 2) == pytest.approx(3 / 6)
    assert pass_at_k(4, 0, 2) == 0
    assert pass_at_k(4, 3, 2) == 1  # no pair without a right one
    assert pass_at_k(4, 1, 4) == 1


@pytest.mark.parametrize(
    ("digits", "answers", "expected"),
    [
        ("0110", ["7", "8", "8", None], 1.0),
        ("1000", ["8", "7", "7", "9"], 0.0),
        ("1010", ["8", "7", "8", "7"], 1.0),  # two votes each: the earlier one
        ("0101", ["7", "8", "7", "8"], 0.0),
        ("0001", [None, None, None, "8"], 1.0),  # who states nothing has no vote
        ("0000", [None, None, None, None], 0.0),
    ],
)
def test_the_majority_answer_is_the_one_stated_most_often(digits, answers, expected):
    assert majority(predictions_of([digits], answers=[answers])) == expected


def test_a_row_for_each_benchmark_subject_and_measure():
    judged = predictions_of(["11", "10", "00", "00"]).with_columns(
        subject=pl.Series(["algebra"] * 4 + ["geometry"] * 4)
    )
    rows = {(row[1], row[2]): row[3:5] for row in accuracy_rows(judged, samples=2)}
    assert rows == {
        (None, "accuracy"): (4, (1 + 0.5 + 0 + 0) / 4),
        (None, "pass_at_2"): (4, (1 + 1 + 0 + 0) / 4),
        (None, "majority"): (4, (1 + 1 + 0 + 0) / 4),  # "1" before "0" in the second problem
        ("algebra", "accuracy"): (2, 0.75),
        ("geometry", "accuracy"): (2, 0.0),
    }


def test_greedy_accuracy_has_wilsons_interval():
    (row,) = accuracy_rows(predictions_of(["1"] * 8 + ["0"] * 2).with_columns(subject=pl.lit(None, pl.String)), 1)
    assert row == ("test", None, "accuracy", 10, 0.8, *wilson(8, 10))


def test_the_count_of_right_answers_is_logged_without_what_division_loses():
    assert 7 / 1319 * 1319 != 7
    row = {"benchmark": "gsm8k", "subject": None, "measure": "accuracy", "problems": 1319, "low": 0.0, "high": 1.0}
    assert figures({**row, "rate": 7 / 1319}, 1)["right/gsm8k"] == 7
    assert figures({**row, "rate": 7.25 / 1319}, 4)["right/gsm8k"] == 7.25  # 29 right of 4 · 1319 completions


def test_several_completions_a_problem_differ_and_are_the_same_each_time(policy_folder, tmp_path):
    problem = {"question": "How many apples?", "solution": "The answer is 3.", "answer": "3", "source": "own"}
    rows = [{**problem, "problem_id": str(number), "subject": "fruit", "split": "test"} for number in range(3)]
    write_table(table("problems", rows), "problems", tmp_path / "problems.parquet")
    inputs = {"policy": policy_folder, "problems": tmp_path / "problems.parquet"}
    found, logged = [], {}
    for name, shard_size in (("a", 1), ("b", 256)):
        (tmp_path / name).mkdir()
        options = EvaluateOptions(samples=4, temperature=2.0, max_new_tokens=5, shard_size=shard_size)
        evaluate(options, inputs, tmp_path / name, seed=7, log=lambda metrics, step=None: logged.update(metrics))
        found.append(read_table("predictions", tmp_path / name / "predictions.parquet"))
    assert found[0].equals(found[1])
    assert found[0]["number"].to_list() == [0, 1, 2, 3] * 3
    assert found[0]["completion"].n_unique() > 3
    assert {"pass_at_2/own", "pass_at_4/own", "majority/own", "accuracy/own/fruit", "low/own"} <= set(logged)
    assert logged["total/own"] == 3


def compared(tmp_path, first, second):
    for name, frame in (("first", first), ("second", second)):
        write_table(frame, "predictions", tmp_path / f"{name}.parquet")
    inputs = {"predictions": tmp_path / "first.parquet", "against": tmp_path / "second.parquet"}
    logged = {}
    compare_predictions(CompareOptions(), inputs, tmp_path, log=lambda metrics, step=None: logged.update(metrics))
    return pl.read_parquet(tmp_path / "comparison.parquet").to_dicts(), logged


def test_two_models_are_compared_pair_by_pair(tmp_path):
    # both right 2, only the first 1, only the second 5: (3 − 7) / 8, and P(at most 1 of 6) on either side
    (row,), logged = compared(tmp_path, predictions_of(list("11100000")), predictions_of(list("11011111")))
    assert (row["both_right"], row["only_first"], row["only_second"], row["problems"]) == (2, 1, 5, 8)
    assert row["difference"] == logged["difference/test"] == -0.5
    assert row["p_mcnemar"] == pytest.approx(2 * 7 / 64)
    assert row["low"] < -0.5 < row["high"]


def test_of_several_completions_half_must_be_right_to_solve_a_problem(tmp_path):
    (row,), _ = compared(tmp_path, predictions_of(["10", "00"]), predictions_of(["00", "11"]))
    assert (row["only_first"], row["only_second"], row["difference"]) == (1, 1, (0.5 - 1.0) / 2)


def test_evaluations_of_other_problems_are_not_compared(tmp_path):
    with pytest.raises(UserError, match="not about the same problems: 1 are in one alone"):
        compared(tmp_path, predictions_of(["1", "0"]), predictions_of(["1"]))
