"""`rlmec compare --credit`: every source on samples that nothing was trained on."""

import json

import polars as pl
import pytest

from flows import credit
from flows.control import Control, trace
from flows.credit import SOURCES, CreditComparisonConfig, figures, markdown, means, measured
from flows.execution import Direct
from flows.pipeline import run_method
from flows.store import open_store
from flows.tables import checked
from tasks.measure_credit import FIGURES

NAMES = [
    "Tom",
    "Ann",
    "Sam",
    "Kim",
    "Max",
    "Zoe",
    "Ben",
    "Eva",
    "Dan",
    "Ida",
    "Leo",
    "Mia",
    "Jon",
    "Amy",
    "Ray",
    "Sue",
    "Art",
]
THINGS = ["apples", "books", "coins", "pens", "cups", "maps", "toys", "nuts"]


@pytest.fixture(scope="module")
def always_seven(tmp_path_factory):
    """Problems with one answer, which a model learns in seconds, and forgets at a high temperature."""
    path = tmp_path_factory.mktemp("data") / "seven.jsonl"
    rows = [
        {"question": f"{name} has 3 {things}. {name} buys 4 more {things}. How many {things} does {name} have {when}?",
         "solution": f"{name} has 3+4=7 {things}.\nThe answer is 7.", "answer": "7"}
        for name in NAMES for things in THINGS for when in ("now", "today")
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def config(always_seven):
    sets = (f"prepare.dataset={always_seven}", f'prepare.benchmarks=["{always_seven}"]', "warm_up.updates=110",
            "sample.temperature=1.2", "sample.samples_per_problem=2", "sample.problems=60")  # fmt: skip
    return CreditComparisonConfig(preset="smoke", seeds=(0,), sets=sets)


def test_every_source_is_held_against_the_teachers_edits(config, tmp_path, monkeypatch):
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path / "home"))
    summary = run_method(measured, config.run(0), Control(), engine=Direct()).summary
    found = {source: figures(open_store(), summary, source).row(0, named=True) for source in SOURCES}
    assert len({row["samples"] for row in found.values()}) == 1  # all are asked about the same samples
    assert found["grm"]["samples"] > 0
    # The outcome blames every token alike: it knows nothing of where, and finds all.
    assert (found["outcome"]["auc_all"], found["outcome"]["recall"]) == (0.5, 1.0)
    # What the policy was warmed up with, it finds likely: it doubts its own slips at a high temperature.
    assert found["surprisal"]["auc_first_error"] > 0.7


def test_credit_is_measured_on_problems_that_nothing_was_trained_on(config):
    calls = trace(measured, config.run(0))
    for label, call in calls.items():
        if call.stage in ("train_policy", "train_reward_model"):
            assert call.inputs["problems"].name == "train", label
        if label.startswith(("score-", "sample-held-out")) and label != "score-implicit":
            assert call.inputs["problems"].name == "development", label
    assert {label for label in calls if label.startswith("measure-")} == {f"measure-{source}" for source in SOURCES}


def test_sources_read_the_model_that_they_are_named_after(config):
    calls = trace(measured, config.run(0))
    read = {source: calls[f"score-{source}"].inputs for source in SOURCES}
    assert read["dpo"]["credit_model"].stage == "train_policy-dpo"
    assert read["implicit-reward"]["credit_model"].stage == "train_policy-implicit"
    assert read["grm"]["reward_model"].stage == "train_reward_model"
    assert read["grm-edits"]["edits"].stage == "align-grm-held-out"


def test_settings_reach_the_models_and_the_source_that_they_are_about(config):
    sets = (
        *config.sets,
        "upstream.right_model.updates=3",
        "score.settings.with_reference=false",
        "train_policy.updates=7",
    )
    calls = trace(measured, config.model_copy(update={"sets": sets}).run(0))
    updates = {name: calls[f"train_policy-{name}"].options.updates for name in credit.UPSTREAM}
    assert updates == {"dpo": 7, "implicit": 7, "right_model": 3, "wrong_model": 7}
    assert calls["score-grm"].options.settings["with_reference"] is False
    assert calls["score-surprisal"].options.settings["with_reference"] is True  # the run's credit source is the GRM


def test_a_table_shows_means_over_seeds_and_how_far_they_lie_apart():
    def rows(seed, auc):
        numbers = {**dict.fromkeys(FIGURES, 0.5), "auc_all": auc, "precision": None}
        return {"source": "grm", "group": "all", "samples": 10, "tokens": 100, **numbers, "seed": seed}

    every = pl.DataFrame([rows(0, 0.8), rows(1, 0.9)], schema_overrides={"precision": pl.Float64})
    (mean,) = means(every).to_dicts()
    assert (mean["samples"], mean["auc_all_min"], mean["auc_all_max"]) == (20, 0.8, 0.9)
    assert mean["auc_all"] == pytest.approx(0.85)
    line = markdown({"credit": [mean]}).splitlines()[-1]
    assert line == "| grm | all | 20 | 0.500 | 0.850 | 0.500 | – | 0.500 |"


def test_recipes_and_credit_sources_are_compared_by_commands_of_their_own(rlmec, tmp_path):
    code, _, errors = rlmec(tmp_path, "compare", "sft", "--credit")
    assert code == 2
    assert errors.splitlines()[-1].startswith("rlmec: compare --credit trains no policy: it takes --preset, --seeds")


def test_seeds_are_named(config):
    with pytest.raises(Exception, match="seeds"):
        checked(CreditComparisonConfig, {"seeds": []}, "")
    assert credit.UPSTREAM.keys() == config.run(0).upstream.keys()
