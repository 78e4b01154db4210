"""`rlmec evaluate` as a user types it: two checkpoints on problems of their own, in a store of its own."""

import json

import polars as pl
import pytest

from flows.evaluate import evaluation_config
from tasks.errors import UserError


@pytest.fixture(scope="module")
def place(tmp_path_factory, model, tokenizer):
    """A folder with eight problems, two checkpoints that differ, and room for a store."""
    from models import policy, tiny

    folder = tmp_path_factory.mktemp("evaluation")
    lines = [{"question": f"{n}+1?", "solution": f"{n}+1={n + 1}", "answer": n + 1} for n in range(8)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    policy.save(model, tokenizer, folder / "first")
    other = tiny.new_llama(tokenizer, layers=1, width=32, heads=2, feed_forward=64, seed=1)
    policy.save(other, tokenizer, folder / "second")
    return folder


def test_two_checkpoints_are_evaluated_and_compared_and_the_second_time_all_is_reused(place, rlmec):
    words = [
        "evaluate", "first", "--against", "second", "--benchmarks", "mine.jsonl", "--samples", "2", "--json",
        "--set", "evaluate.max_new_tokens=4", "--set", "evaluate.shard_size=3",
    ]  # fmt: skip
    code, output, errors = rlmec(place, *words)
    assert code == 0, errors
    summary = json.loads(output)
    assert [stage["name"] for stage in summary["stages"]] == [
        "prepare", "evaluate", "evaluate-against", "compare_predictions",
    ]  # fmt: skip
    assert summary["accuracy"]["mine.jsonl"]["checkpoint"]["total"] == 8
    assert "pass@2" in errors
    assert "p (McNemar)" in errors
    runs = {stage["name"]: place / "home" / "artifacts" / stage["run_id"] / "artifacts" for stage in summary["stages"]}
    assert len(pl.read_parquet(runs["evaluate"] / "predictions.parquet")) == 16
    (row,) = pl.read_parquet(runs["compare_predictions"] / "comparison.parquet").to_dicts()
    assert (row["benchmark"], row["problems"]) == ("mine.jsonl", 8)

    code, output, errors = rlmec(place, *words)
    assert code == 0
    assert "Its page, for any browser" in errors
    assert all(stage["reused"] for stage in json.loads(output)["stages"])


@pytest.mark.parametrize(
    ("checkpoint", "line"),
    [
        ("models:/nothing@best", "rlmec: models:/nothing@best: no such registered model"),
        ("models:/", "rlmec: models:/: no such registered model"),
        ("./absent", "rlmec: checkpoint './absent' is no local folder"),
    ],
)
def test_a_checkpoint_that_does_not_exist_is_named(place, rlmec, checkpoint, line):
    code, _, errors = rlmec(place, "evaluate", checkpoint, "--benchmarks", "mine.jsonl")
    assert code == 2
    assert errors.splitlines()[-1].startswith(line)


def test_a_data_folder_holds_a_folder_for_each_dataset(tmp_path):
    def prepare(data):
        return evaluation_config("x", ["gsm8k", "svamp", "gsm8k:train"], data=data).prepare

    (tmp_path / "gsm8k").mkdir()
    with pytest.raises(UserError, match=r"svamp: no such folder; the data path holds one for each dataset"):
        prepare(str(tmp_path)).parts()  # the hub's may be other data than those that were meant
    (tmp_path / "svamp").mkdir()
    for given, places in ((str(tmp_path), [tmp_path / "gsm8k", tmp_path / "svamp"]), (None, [])):
        assert prepare(given).files() == places
        assert prepare(given).parts() == ["tasks.datasets.gsm8k", "tasks.datasets.svamp"]


def test_an_option_or_benchmark_that_does_not_exist_is_named():
    with pytest.raises(UserError, match="evaluate.samples: input should be greater than 0"):
        evaluation_config("x", ["gsm8k"], samples=0)
    with pytest.raises(UserError, match="did you mean 'gsm8k'"):
        evaluation_config("x", ["gsm8"]).prepare.parts()
