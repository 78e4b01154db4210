"""`rlmec compare`, as a user types it, on models too small to be right."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest

SMALL = [
    "prepare.train_problems=40", "prepare.development_problems=12", "prepare.benchmark_problems=12",
    "warm_up.updates=4", "warm_up.check_every=4", "warm_up.check_problems=4", "sample.problems=10",
    "train_reward_model.updates=2", "rewrite.max_new_tokens=8",
    "train_policy.updates=2", "sample.max_new_tokens=8", "evaluate.max_new_tokens=8",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


def compare(place, *words):
    environment = {**os.environ, "RLMEC_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "flows.cli", "compare", *words, "--preset", "smoke", "--json"]
    command += [word for setting in SMALL for word in ("--set", setting)]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def first(place):
    """sft and ppo-instance under two seeds, two learning rates each."""
    code, output, errors = compare(place, "sft", "ppo-instance", "--seeds", "0,1", "--rates", "1,2")
    assert code == 0, errors
    return json.loads(output), errors


def test_the_numbers_are_those_of_every_recipe_benchmark_and_seed(first):
    result, errors = first
    assert list(result["recipes"]) == ["sft", "ppo-instance"]
    found = result["recipes"]["sft"]
    assert found["learning_rate"] in (5e-4, 1e-3)  # the preset's, × 1 and × 2
    assert [(seed["seed"], seed["total"]) for seed in found["test"]["seeds"]] == [(0, 12), (1, 12)]
    assert found["test"]["low"] <= found["test"]["mean"] <= found["test"]["high"]
    assert found["tokens"] > 0
    (row,) = result["differences"]
    assert (row["recipe"], row["against"], row["benchmark"]) == ("ppo-instance", "sft", "test")
    assert "Paired differences" in errors
    assert "chosen on the development problems of seed 1000" in errors


def test_what_recipes_share_is_made_once_a_seed(first):
    _, errors = first
    lines = errors.splitlines()
    assert lines.count("warm_up …") == 3  # seeds 0 and 1, and the tuning seed
    assert lines.count("sample …") == 3
    assert lines.count("train_policy …") == 2 * 2 + 2 * 2  # two rates of two recipes, then two seeds of each


def test_mlflow_has_one_parent_with_a_run_below_it_for_each_recipe_and_seed(first, place, monkeypatch):
    from flows.store import open_store

    monkeypatch.setenv("RLMEC_HOME", str(place / "home"))
    store = open_store()
    parent = next(store.search("tags.`rlmec.kind` = 'comparison'"))
    below = list(store.search(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"))
    assert len(below) == 2 * 2 + 2 * 2
    assert {run.info.status for run in below} == {"FINISHED"}
    assert "accuracy/test/sft" in parent.data.metrics
    artifacts = place / "home" / "artifacts" / parent.info.run_id / "artifacts"
    assert len(pl.read_parquet(artifacts / "accuracies.parquet")) == 2
    assert (artifacts / "comparison.md").read_text().startswith("| recipe | test |")
    assert (artifacts / "differences.png").stat().st_size > 0
    assert list(store.client.search_registered_models()) == []  # a comparison puts no policy forward


def test_a_recipe_added_later_computes_only_itself(first, place):
    code, output, errors = compare(place, "sft", "ppo-instance", "rlmec", "--seeds", "0,1", "--rates", "1,2")
    assert code == 0, errors
    assert errors.splitlines().count("train_policy …") == 2 + 2
    assert errors.splitlines().count("train_reward_model …") == 3
    assert "warm_up …" not in errors
    assert json.loads(output)["recipes"].keys() == {"sft", "ppo-instance", "rlmec"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["sft", "rlmce"], "rlmec: no recipe 'rlmce': did you mean \"rlmec\"?"),
        (["sft"], "rlmec: name two recipes or more, and at least one seed and one learning rate"),
        (["sft", "dpo", "--seeds", "0,1000"], "rlmec: tuning_seed 1000 is one of the seeds that are compared"),
        (["sft", "./absent.toml"], "rlmec: absent.toml: no such file"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(place, words, line):
    code, _, errors = compare(place, *words)
    assert code == 2
    assert line in errors
    assert "…" not in errors
