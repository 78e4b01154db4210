"""`rlmec compare`, as a user types it, on models too small to be right."""

import json
import os
import re
import signal
from functools import partial

import polars as pl
import pytest

from tasks.errors import DivergedError, NothingToLearnError, UserError


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def compare(place, rlmec):
    """`rlmec compare` of small models: exit code, standard output and standard error."""
    return partial(rlmec, place, "compare", "--preset", "smoke", "--json", *rlmec.small)


@pytest.fixture(scope="module")
def first(compare):
    """sft and ppo-instance under two seeds, two learning rates each."""
    code, output, errors = compare("sft", "ppo-instance", "--seeds", "0,1", "--rates", "1,2")
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
    assert result["start"] == {"test": [0.0, 0.0]}  # so small a policy solves nothing
    assert "All recipes start from the same policies, one a seed, which solve 0.0, 0.0 % of test." in errors
    assert "Paired differences" in errors
    assert "the best of them on the development problems under seed 1000" in errors


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


def test_a_recipe_added_later_computes_only_itself(first, compare):
    words = ["--seeds", "0,1", "--rates", "1,2", "--against", "ppo-instance"]
    code, output, errors = compare("sft", "ppo-instance", "rlmec", *words)
    assert code == 0, errors
    assert {row["against"] for row in json.loads(output)["differences"]} == {"ppo-instance"}
    assert errors.splitlines().count("train_policy …") == 2 + 2
    assert errors.splitlines().count("train_reward_model …") == 3
    assert "warm_up …" not in errors
    assert json.loads(output)["recipes"].keys() == {"sft", "ppo-instance", "rlmec"}


def test_a_comparison_that_was_killed_goes_on_and_a_seed_added_later_computes_only_itself(first, place, rlmec, compare):
    words = ["sft", "ppo-instance", "--seeds", "0,1,2", "--rates", "1,2"]
    process = rlmec.start(place, "compare", "--preset", "smoke", "--json", *rlmec.small, *words)
    for line in process.stderr:
        if line.startswith("— ppo-instance, seed 2"):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    code, output, errors = compare(*words)
    assert code == 0, errors
    assert "warm_up …" not in errors
    assert errors.splitlines().count("train_policy …") == 1
    seeds = json.loads(output)["recipes"]["sft"]["test"]["seeds"]
    assert [seed["seed"] for seed in seeds] == [0, 1, 2]
    assert seeds[:2] == first[0]["recipes"]["sft"]["test"]["seeds"]


def test_a_mistake_in_the_command_is_one_line_and_code_2(compare):
    code, _, errors = compare("sft", "rlmce")
    assert code == 2
    assert errors.splitlines()[-1] == "rlmec: no recipe 'rlmce': did you mean 'rlmec'?"


def comparison(*recipes, **given):
    from flows.compare import ComparisonConfig
    from flows.tables import checked

    return checked(ComparisonConfig, {"recipes": recipes, "preset": "smoke", **given}, "")


@pytest.mark.parametrize(
    ("recipes", "given", "line"),
    [
        (["sft"], {}, "name two recipes or more"),
        (["sft", "sft"], {}, "recipes: name at least one, and each once"),
        (["sft", "dpo"], {"seeds": [0, 1000]}, "tuning_seed 1000 is one of the seeds that are compared"),
        (["sft", "dpo"], {"seeds": [0, 0]}, "seeds: name at least one, and each once"),
        (["sft", "dpo"], {"seeds": [-1]}, "seeds.0: input should be greater than or equal to 0"),
        (["sft", "dpo"], {"rates": [0, 1]}, "rates.0: input should be greater than 0"),
        (["sft", "dpo"], {"rates": [float("nan")]}, "rates.0: input should be"),
        (["sft", "./absent.toml"], {}, "absent.toml: no such file"),
        (["sft", "dpo"], {"sets": ["seed=5"]}, "--set seed and measure_on are the comparison's own affair"),
        (["sft", "dpo"], {"sets": ["measure_on=development"]}, "are the comparison's own affair"),
        (["sft", "dpo"], {"against": ["coh"]}, "--against coh: the recipes that take part are sft, dpo"),
        (["sft", "MORE"], {}, "recipe more has another train_policy.updates than recipe sft"),
        (["sft", "OTHER"], {}, "recipe other has another sample than recipe sft"),
    ],
)
def test_what_cannot_be_compared_is_named_before_anything_runs(recipes, given, line, tmp_path):
    from flows.compare import must_fit

    loss = "[train_policy]\nimitate = ['right']\nobjectives = {weighted_nll = {}}\n"
    (tmp_path / "more.toml").write_text(loss + "updates = 99\n")
    (tmp_path / "other.toml").write_text(loss + "[sample]\nsamples_per_problem = 7\n")
    named = [str(tmp_path / f"{name.lower()}.toml") if name.isupper() else name for name in recipes]
    with pytest.raises(UserError, match=re.escape(line)):
        must_fit(comparison(*named, **given))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["sft", "rlmec"], ["sft", "rlmec"]),
        (["dpo", "dpo"], ["dpo"]),
        (["grpo"], ["coh"]),  # which was left out: then the first is
    ],
)
def test_the_others_are_compared_with_the_recipes_wanted_that_took_part(wanted, found):
    from flows.compare import baselines

    assert baselines(["coh", "rlmec", "sft", "dpo"], wanted) == found


def test_every_recipe_can_be_compared_with_the_method():
    """Also those that train models of their own, upstream, and settle their credit source's settings."""
    from flows.compare import must_fit
    from flows.tables import names

    must_fit(comparison(*names("recipes")))


def test_recipes_that_train_for_epochs_would_not_train_alike():
    from flows.compare import must_fit

    with pytest.raises(UserError, match="sets no train_policy.updates"):
        must_fit(comparison("sft", "dpo", preset="paper-math", sets=["policy.checkpoint=./mine"]))


def test_of_equally_good_learning_rates_the_smaller_is_taken(monkeypatch):
    from flows.compare import Comparison
    from flows.execution import Direct

    solved = {2.5e-4: 3, 5e-4: 7, 1e-3: 7}  # of 10, at 0.5, 1 and 2 times the preset's rate

    def outcome(self, config, name, purpose):
        assert (config.seed, config.measure_on, purpose) == (1000, "development", "tuning")
        right = solved[config.train_policy.optimisation.learning_rate]
        return {"accuracy": {"mine": {"after": {"right": right, "total": 10}}}}

    monkeypatch.setattr(Comparison, "outcome", outcome)
    assert Comparison(comparison("sft", "rft"), None, "", Direct()).tuned("sft") == 1.0


def test_a_learning_rate_at_which_training_diverges_is_not_taken(monkeypatch):
    from flows.compare import Comparison
    from flows.execution import Direct

    def outcome(self, config, name, purpose):
        if config.train_policy.optimisation.learning_rate == 2.5e-4:
            return {"accuracy": {"mine": {"after": {"right": 1, "total": 10}}}}
        raise DivergedError("the gradient's norm is nan")

    monkeypatch.setattr(Comparison, "outcome", outcome)
    assert Comparison(comparison("sft", "rft"), None, "", Direct()).tuned("sft") == 0.5


def test_a_mistake_that_is_not_the_recipes_own_ends_the_comparison(monkeypatch):
    """Or each recipe would begin with a teacher's whole budget."""
    from flows.compare import Comparison
    from flows.execution import Direct

    def outcome(self, config, name, purpose):
        raise UserError("max_requests is spent")

    monkeypatch.setattr(Comparison, "outcome", outcome)
    with pytest.raises(UserError, match="max_requests is spent"):
        Comparison(comparison("sft", "dpo"), None, "", Direct()).add("dpo")


def test_a_recipe_that_finds_nothing_to_learn_from_is_left_out_with_the_reason(monkeypatch, capsys):
    from flows.compare import Comparison
    from flows.execution import Direct

    def outcome(self, config, name, purpose):
        raise NothingToLearnError("no rewrite was accepted")

    monkeypatch.setattr(Comparison, "outcome", outcome)
    work = Comparison(comparison("sft", "dpo"), None, "", Direct())
    work.add("dpo")
    assert work.skipped == {"dpo": "no rewrite was accepted"}
    assert (work.found, work.costs) == ({}, {})
    assert "dpo is left out: no rewrite was accepted" in capsys.readouterr().err
