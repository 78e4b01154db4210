"""`rlmec list runs` on a store of its own, with four fake stages (see conftest)."""

import pytest

from flows.listing import lines


def words(line: str) -> list[str]:
    """A line without its ids, which differ every time."""
    parts = line.split()
    return [word for before, word in zip(["", *parts], parts, strict=False) if before not in ("run", "key")]


def test_pipelines_are_listed_newest_first_with_state_seconds_and_reuse_of_each_stage(bench):
    bench.go()
    bench.go(updates=3)
    listed = lines("runs")
    assert [line.startswith("toy-fake-0-") for line in listed] == [True, *[False] * 4] * 2
    newest = [words(line) for line in listed[1:5]]
    assert [(row[0], row[1], row[-1]) for row in newest] == [
        ("prepare", "FINISHED", "reused"),
        ("spare", "FINISHED", "reused"),
        ("train_policy", "FINISHED", "s"),
        ("evaluate-after", "FINISHED", "s"),
    ]
    assert all("reused" not in line for line in listed[6:])


def test_a_failed_stage_is_listed_with_its_pipeline_and_without_seconds(bench):
    with pytest.raises(ValueError, match="thirteen"):
        bench.go(updates=13)
    listed = [words(line) for line in lines("runs")]
    assert listed[0][1:] == ["FAILED", "run"]
    assert listed[-1] == ["train_policy", "FAILED", "run", "key"]


def test_an_empty_store_lists_nothing(bench):
    assert lines("runs") == []
