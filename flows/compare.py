"""`rlmec compare`: several recipes on the same samples, one table.

Each recipe and seed is a run of the method, so whatever two recipes share (warm-up, samples, rewrites, GRM, scores)
is made once, through the stages' keys; a comparison that was killed goes on, and a recipe or seed added later
computes only itself. Each recipe first gets the best of a few learning rates, on the development problems of a seed
that the comparison itself does not use.
"""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
from prefect import flow
from pydantic import BaseModel, Field, model_validator

from flows.config import DEFAULT_PRESET, RunConfig, load_config
from flows.control import Control
from flows.metrics import MetricLog
from flows.pipeline import Outcome, run_method
from flows.rlmec import command, method
from flows.server import prefect_server
from flows.stage import say
from flows.store import Store, open_store
from flows.summary import stage_metrics
from tasks.compare_recipes import accuracies, differences, gathered, markdown
from tasks.errors import UserError
from tasks.forest import forest

BASELINES = ("sft", "rlmec")
SHARED = ("prepare", "warm_up", "evaluate-before", "evaluate-after")  # no cost of a recipe's own


class ComparisonConfig(BaseModel, extra="forbid", frozen=True):
    """All that a comparison depends on."""

    recipes: tuple[str, ...] = Field(description="recipes by name or TOML file, two or more")
    preset: str = DEFAULT_PRESET
    seeds: tuple[int, ...] = (0, 1, 2)
    rates: tuple[float, ...] = Field(
        (0.5, 1.0, 2.0), description="learning rates tried for each recipe, as multiples of the preset's"
    )
    tuning_seed: int = Field(1000, ge=0, description="the seed whose development problems choose the learning rate")
    sets: tuple[str, ...] = Field((), description="section.key=value, over preset and recipe")

    @model_validator(mode="after")
    def compares(self) -> "ComparisonConfig":
        if len(set(self.recipes)) < 2 or not self.seeds or not self.rates:
            raise ValueError("name two recipes or more, and at least one seed and one learning rate")
        if self.tuning_seed in self.seeds:
            raise ValueError(f"tuning_seed {self.tuning_seed} is one of the seeds that are compared")
        return self

    def run(self, recipe: str, seed: int, rate: float, *sets: str) -> RunConfig:
        """The run of a recipe under a seed at a multiple of the preset's learning rate."""
        config = load_config(self.preset, recipe, seed, [*self.sets, *sets])
        options = config.train_policy
        optimisation = replace(options.optimisation, learning_rate=options.optimisation.learning_rate * rate)
        scaled = options.model_copy(update={"optimisation": optimisation})
        return config.model_copy(update={"train_policy": scaled})


class Comparison:
    """A comparison at work: its parent run in MLflow, below which each recipe and seed has a run of its own."""

    def __init__(self, config: ComparisonConfig, store: Store, parent: str) -> None:
        self.config, self.store, self.parent = config, store, parent

    def outcome(self, config: RunConfig, name: str) -> dict[str, Any]:
        """The summary of one run of the method."""
        say(f"— {name}")
        return run_method(method, config, Control(command=command(config)), above=self.parent).summary

    def tuned(self, recipe: str) -> float:
        """The multiple of the learning rate with which a recipe solves most development problems; the smaller one of
        equals."""
        if len(self.config.rates) == 1:
            return self.config.rates[0]
        solved: dict[float, float] = {}
        for rate in sorted(self.config.rates):
            config = self.config.run(recipe, self.config.tuning_seed, rate, "measure_on=development")
            summary = self.outcome(config, f"{recipe}, tuning, learning rate × {rate:g}")
            shares = [sides["after"] for sides in summary["accuracy"].values()]
            solved[rate] = sum(share["right"] for share in shares) / sum(share["total"] for share in shares)
        return max(solved, key=lambda rate: (solved[rate], -rate))

    def predictions(self, summary: Mapping[str, Any]) -> Path:
        """Where the predictions of a run's policy lie."""
        run_id = stage_of(summary, "evaluate-after")["run_id"]
        return self.store.fetch(self.store.stage_run(run_id).outputs["predictions"])

    def cost(self, summary: Mapping[str, Any]) -> tuple[float, float]:
        """Seconds that a recipe's own stages took when they ran, and tokens that it trained the policy on."""
        seconds = sum(stage["seconds"] for stage in summary["stages"] if stage["name"] not in SHARED)
        logged = stage_metrics(self.store, stage_of(summary, "train_policy")["run_id"])
        return seconds, logged["tokens_trained"]


def stage_of(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A stage's entry in a summary."""
    return next(stage for stage in summary["stages"] if stage["name"] == name)


@flow(name="compare")
def compare(config: ComparisonConfig) -> Outcome:
    """Every recipe under every seed, and what they solve side by side."""
    store = open_store()
    store.sweep()
    must_fit(config)
    started = time.monotonic()
    name = f"compare-{Path(config.preset).stem}-{datetime.now():%m%d-%H%M%S}"
    with store.running(name, {"rlmec.kind": "comparison"}) as parent:
        store.params(parent, config.model_dump(mode="json"))
        work = Comparison(config, store, parent)
        rates = {recipe: work.tuned(recipe) for recipe in config.recipes}
        found, costs = {}, dict[str, dict[str, float]]()
        for recipe in config.recipes:
            spent = []
            for seed in config.seeds:
                summary = work.outcome(config.run(recipe, seed, rates[recipe]), f"{recipe}, seed {seed}")
                found[summary["recipe"], seed] = work.predictions(summary)
                spent.append(work.cost(summary))
            seconds, tokens = (sum(numbers) / len(spent) for numbers in zip(*spent, strict=True))
            run = config.run(recipe, config.seeds[0], rates[recipe])
            rate = run.train_policy.optimisation.learning_rate
            costs[summary["recipe"]] = {"learning_rate": rate, "seconds": seconds, "tokens": tokens}
        tables = gathered(found)
        order = list(costs)
        means = in_order(accuracies(tables), order)
        gaps = pl.concat([in_order(differences(tables, base), order) for base in baselines(order)])
        result = as_json(config, means, gaps, costs, time.monotonic() - started)
        log(store, parent, means, gaps, costs, result)
    return Outcome(result, parent)


def must_fit(config: ComparisonConfig) -> None:
    """Make every configuration once, before anything runs: UserError for a recipe that is not there or does not fit."""
    named: dict[str, str] = {}
    for recipe in config.recipes:
        name = config.run(recipe, config.seeds[0], 1.0).recipe.name
        if name in named:
            raise UserError(f"{named[name]} and {recipe} are both named {name!r}: give one file another name")
        named[name] = recipe


def baselines(recipes: list[str]) -> list[str]:
    """What the others are compared with: sft and rlmec where they take part, else the first recipe."""
    return [name for name in BASELINES if name in recipes] or recipes[:1]


def in_order(frame: pl.DataFrame, recipes: list[str]) -> pl.DataFrame:
    """The rows in the order in which the recipes were named."""
    return frame.sort(pl.col("recipe").cast(pl.Enum(recipes)), maintain_order=True)


def as_json(
    config: ComparisonConfig,
    means: pl.DataFrame,
    gaps: pl.DataFrame,
    costs: Mapping[str, Mapping[str, float]],
    seconds: float,
) -> dict[str, Any]:
    """The comparison as --json prints it."""
    recipes: dict[str, dict[str, Any]] = {name: dict(cost) for name, cost in costs.items()}
    for row in means.to_dicts():
        recipes[row["recipe"]][row["benchmark"]] = {name: row[name] for name in ("mean", "low", "high", "seeds")}
    return {**config.model_dump(mode="json", exclude={"recipes"}), "recipes": recipes, "differences": gaps.to_dicts(),
            "total_seconds": round(seconds, 1)}  # fmt: skip


def log(
    store: Store,
    run_id: str,
    means: pl.DataFrame,
    gaps: pl.DataFrame,
    costs: Mapping[str, Mapping[str, float]],
    result: Mapping[str, Any],
) -> None:
    """Put the tables, the figure and the means on the parent run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        means.write_parquet(out / "accuracies.parquet")
        gaps.write_parquet(out / "differences.parquet")
        (out / "comparison.md").write_text(markdown(means, gaps, costs))
        (out / "comparison.json").write_text(json.dumps(result, indent=2))
        forest(gaps, out / "differences.png")
        store.client.log_artifacts(run_id, folder)
    numbers = MetricLog(store.client, run_id)
    numbers({f"accuracy/{row['benchmark']}/{row['recipe']}": row["mean"] for row in means.iter_rows(named=True)})
    numbers.flush()


def run_comparison(config: ComparisonConfig) -> Outcome:
    """Compare as a Prefect flow; a mistake in the configuration is named before a server is started."""
    must_fit(config)
    with prefect_server():
        return compare(config)
