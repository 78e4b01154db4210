"""Statistics of rewards and edits, counted by hand."""

import polars as pl
import pytest

from tasks import page_statistics
from tasks.page_answers import gains
from tasks.page_statistics import edit_statistics, histogram, reward_statistics, round_step
from tasks.records import table, write_table


@pytest.fixture
def tables(tmp_path):
    """A right sample of tokens 1 1 2 with 0.5 0.5 0, and a wrong one of 1 2 2 with 0 −0.1 −0.1."""
    rows = {"a": ([1, 1, 2], [0.5, 0.5, 0.0], True), "b": ([1, 2, 2], [0.0, -0.1, -0.1], False)}
    write_table(table("samples", [
        {"sample_id": name, "problem_id": name, "prompt_ids": [], "completion_ids": ids, "completion": "",
         "finish_reason": "stop", "is_right": right}
        for name, (ids, _, right) in rows.items()
    ]), "samples", tmp_path / "samples.parquet")  # fmt: skip
    write_table(table("token_rewards", [
        {"sample_id": name, "credit_source": "grm", "rewards": rewards} for name, (_, rewards, _) in rows.items()
    ]), "token_rewards", tmp_path / "token_rewards.parquet")  # fmt: skip
    write_table(table("edits", [
        {"sample_id": "b", "kinds": ["replace", "delete"], "source_positions": [1, 2], "target_positions": [1, 2],
         "sample_edited": [False, True, False], "rewrite_edited": [False, True]}
    ]), "edits", tmp_path / "edits.parquet")  # fmt: skip
    return tmp_path


def test_rewards_are_told_apart_by_verdict_and_by_what_the_rewrite_changed(tables, monkeypatch):
    monkeypatch.setattr(page_statistics, "RARE", 0)
    found = reward_statistics(*(tables / f"{name}.parquet" for name in ("samples", "token_rewards", "edits")))
    right, wrong = found["verdicts"]["right"], found["verdicts"]["wrong"]
    assert (right["tokens"], right["negative"], right["zero"]) == (3, 0, pytest.approx(1 / 3))
    assert (wrong["tokens"], wrong["mean"]) == (3, pytest.approx(-0.2 / 3))
    assert wrong["negative"] == pytest.approx(2 / 3)
    # Only the wrong sample has a rewrite: of its tokens the second was changed.
    assert {name: (part["tokens"], part["negative"]) for name, part in found["changed"].items()} == {
        "changed": (1, 1.0), "kept": (2, 0.5)}  # fmt: skip


def test_without_edits_nothing_is_said_of_changes(tables):
    found = reward_statistics(tables / "samples.parquet", tables / "token_rewards.parquet")
    assert found["changed"] == {}
    assert found["verdicts"]["right"]["tokens"] == 3


def test_the_most_rewarded_are_of_right_samples_and_the_most_punished_of_wrong_ones_without_rare_ones():
    rows = [(1, 0.5, True)] * 3 + [(2, 0.4, True)] * 3 + [(3, 0.9, True)] * 2 + [(2, -0.1, False)] * 3
    frame = pl.DataFrame(rows, schema=["token", "reward", "is_right"], orient="row")
    found = page_statistics.extremes(frame)
    assert [row["token"] for row in found["most"]] == [1, 2]  # 3 is there only twice
    assert [(row["token"], row["negative"]) for row in found["least"]] == [(2, 1.0)]


def test_a_histogram_begins_a_part_at_0_and_its_shares_are_of_each_verdict():
    frame = pl.DataFrame(
        {"reward": [-0.1, 0.0, 0.5, 0.5], "is_right": [False, False, True, True]},
        schema_overrides={"reward": pl.Float32},
    )
    bins = histogram(frame)
    # 0.6 in 12 parts: 0.05 each, from −0.1 to 0.5.
    assert len(bins) == 12
    assert [part["low"] for part in bins[:3]] == pytest.approx([-0.1, -0.05, 0])
    assert (bins[0]["wrong"], bins[2]["wrong"], bins[-1]["right"]) == (0.5, 0.5, 1.0)


def test_rewards_that_are_all_the_same_have_one_part():
    frame = pl.DataFrame({"reward": [0.0, 0.0], "is_right": [False, True]})
    assert len(histogram(frame)) == 1


@pytest.mark.parametrize(("least", "step"), [(0.05, 0.05), (0.06, 0.1), (0.11, 0.2), (3, 5), (10, 10)])
def test_steps_are_round(least, step):
    assert round_step(least) == pytest.approx(step)


def test_of_very_many_samples_a_fair_draw_is_counted(monkeypatch):
    monkeypatch.setattr(page_statistics, "MOST_SAMPLES", 100)
    from tasks.records import stable_id

    frame = pl.DataFrame({"sample_id": [stable_id(number) for number in range(1000)]})
    assert 70 < len(frame.filter(page_statistics.drawn("sample_id", 1000))) < 130  # 100, ± 3 · √(1000 · 0.1 · 0.9)
    assert len(frame.filter(page_statistics.drawn("sample_id", 100))) == 1000


def test_edits_are_counted_by_kind_and_rejections_by_reason(tables):
    rows = [(0.02, None), (0.04, None), (0.12, None), (0.5, "wrong answer")]
    write_table(table("rewrites", [
        {"sample_id": str(place), "edit_fraction": fraction, "reject_reason": reason}
        for place, (fraction, reason) in enumerate(rows)
    ]), "rewrites", tables / "rewrites.parquet")  # fmt: skip
    found = edit_statistics(tables / "rewrites.parquet", tables / "edits.parquet")
    assert (found["accepted"], found["total"], found["mean"]) == (3, 4, pytest.approx(0.06))
    assert [part["count"] for part in found["fractions"]] == [2, 0, 1]
    assert found["operations"] == {"replace": 1, "delete": 1}
    assert found["reasons"] == {"wrong answer": 1}


def test_a_gain_comes_with_the_interval_of_the_paired_bootstrap(tmp_path):
    from tasks.intervals import bootstrap

    # Of 200 problems 20 become right and 10 become wrong: +5 points.
    changes = [1] * 20 + [-1] * 10 + [0] * 170
    for name, values in (
        ("before", [change == -1 for change in changes]),
        ("after", [change == 1 for change in changes]),
    ):
        write_table(table("predictions", [
            {"benchmark": "test", "problem_id": str(place), "number": 0, "is_right": value}
            for place, value in enumerate(values)
        ]), "predictions", tmp_path / f"{name}.parquet")  # fmt: skip
    found = gains(tmp_path / "before.parquet", tmp_path / "after.parquet")["test"]
    low, high = bootstrap(changes)
    assert found["difference"] == pytest.approx(0.05)
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))
