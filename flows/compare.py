"""`rlmec compare`: several recipes on the same samples, one table.

Each recipe and seed is a run of the method, so whatever two recipes share (warm-up, samples, rewrites, GRM, scores)
is made once, through the stages' keys; a comparison that was killed goes on, and a recipe or seed added later
computes only itself. Each recipe first gets the best of a few learning rates, on the development problems, from the
warm-up policy of a seed that takes no other part.
"""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from prefect import flow
from pydantic import BaseModel, Field, model_validator

from flows.config import DEFAULT_PRESET, RunConfig, load_config
from flows.control import Control
from flows.engine import Prefect
from flows.execution import Direct
from flows.method import command, method
from flows.metrics import MetricLog
from flows.notes import NOTE, caveats, comparison_note
from flows.page.publish import publish_comparison
from flows.pipeline import Outcome, Part, run_method
from flows.server import prefect_server
from flows.stage import say
from flows.store import Store, open_store
from flows.summary import stage_metrics
from tasks.compare_recipes import accuracies, differences, gathered, markdown
from tasks.errors import DivergedError, NothingToLearnError, UserError
from tasks.forest import forest

BASELINES = ("sft", "rlmec")
SHARED = ("prepare", "warm_up", "evaluate-before", "evaluate-after")  # no cost of a recipe's own


class ComparisonConfig(BaseModel, extra="forbid", frozen=True):
    """All that a comparison depends on."""

    recipes: tuple[str, ...] = Field(description="recipes by name or TOML file, two or more")
    preset: str = DEFAULT_PRESET
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 2)
    rates: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        (0.5, 1.0, 2.0), description="learning rates tried for each recipe, as multiples of the preset's"
    )
    against: tuple[str, ...] = Field(
        (), description="what the others are compared with, by name; sft and rlmec if unset"
    )
    tuning_seed: int = Field(1000, ge=0, description="the seed under which learning rates are chosen")
    sets: tuple[str, ...] = Field((), description="section.key=value, over preset and recipe")

    @model_validator(mode="after")
    def compares(self) -> "ComparisonConfig":
        for name in ("recipes", "seeds", "rates"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name}: name at least one, and each once")
        if len(self.recipes) < 2:
            raise ValueError("name two recipes or more")
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

    def __init__(self, config: ComparisonConfig, store: Store, parent: str, engine: Direct) -> None:
        self.config, self.store, self.parent, self.engine = config, store, parent, engine
        self.found: dict[tuple[str, int], Path] = {}  # the predictions of each recipe and seed
        self.costs: dict[str, dict[str, float]] = {}  # learning_rate, seconds and tokens of each recipe
        self.start: dict[str, dict[int, float]] = {}  # what the policy that all start from solves, by seed
        self.skipped: dict[str, str] = {}  # the reasons

    def add(self, recipe: str) -> None:
        """Tune and run one recipe; one that finds nothing to learn from, or that diverges, is skipped, with the reason.
        Any other mistake, say a teacher's budget that is spent, would meet the next recipe, too, and ends all."""
        config = self.config
        name = config.run(recipe, config.seeds[0], 1.0).recipe.name
        found, spent = {}, []
        try:
            rate = self.tuned(recipe)
            for seed in config.seeds:
                summary = self.outcome(config.run(recipe, seed, rate), f"{name}, seed {seed}", "compared")
                found[name, seed] = self.predictions(summary)
                spent.append(self.cost(summary))
                for benchmark, sides in summary["accuracy"].items():
                    self.start.setdefault(benchmark, {})[seed] = sides["before"]["rate"]
        except (NothingToLearnError, DivergedError) as error:
            self.skipped[name] = str(error)
            say(f"{name} is left out: {error}")
            return
        seconds, tokens = (sum(numbers) / len(spent) for numbers in zip(*spent, strict=True))
        learning_rate = config.run(recipe, config.seeds[0], rate).train_policy.optimisation.learning_rate
        self.costs[name] = {"learning_rate": learning_rate, "seconds": seconds, "tokens": tokens}
        self.found |= found

    def outcome(self, config: RunConfig, name: str, purpose: str) -> dict[str, Any]:
        """The summary of one run of the method, below this comparison's."""
        say(f"— {name}")
        part = Part(self.parent, name, {"rlmec.purpose": purpose})
        return run_method(method, config, Control(command=command(config)), engine=self.engine, part=part).summary

    def tuned(self, recipe: str) -> float:
        """The multiple of the learning rate with which a recipe solves most development problems; the smaller one of
        equals. One at which it diverges solves none."""
        if len(self.config.rates) == 1:
            return self.config.rates[0]
        solved: dict[float, float] = {}
        for rate in sorted(self.config.rates):
            config = self.config.run(recipe, self.config.tuning_seed, rate, "measure_on=development")
            try:
                summary = self.outcome(config, f"{config.recipe.name}, tuning, learning rate × {rate:g}", "tuning")
            except DivergedError as error:
                say(f"{config.recipe.name}, learning rate × {rate:g}: {error}")
                solved[rate] = 0.0
                continue
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
    execution = config.run(config.recipes[0], config.seeds[0], 1.0).execution
    with store.running(name, {"rlmec.kind": "comparison"}) as parent, Prefect(execution) as engine:
        store.params(parent, config.model_dump(mode="json"))
        work = Comparison(config, store, parent, engine)
        for recipe in config.recipes:
            work.add(recipe)
        order = list(work.costs)
        if len(order) < 2:
            raise UserError(f"nothing is left to compare: {'; '.join(work.skipped.values())}")
        scores = gathered(work.found)
        means = in_order(accuracies(scores, work.costs), order)
        bases = baselines(order, config.against or BASELINES)
        gaps = pl.concat([in_order(differences(scores, base), order) for base in bases])
        result = as_json(work, means, gaps, time.monotonic() - started)
        log(store, parent, means, gaps, result)
        store.tag(parent, {NOTE: comparison_note(result)})
        publish_comparison(store, parent, result)
    return Outcome(result, parent)


def must_fit(config: ComparisonConfig) -> None:
    """Make every configuration once, before anything runs: UserError for a recipe that is not there or does not fit, or
    that would not meet the others on the same samples for as many updates."""
    first: RunConfig | None = None
    named: dict[str, str] = {}
    for recipe in config.recipes:
        made = config.run(recipe, config.seeds[0], 1.0)
        name, options = made.recipe.name, made.train_policy
        if name in named:
            raise UserError(f"{named[name]} and {recipe} are both named {name!r}: give one file another name")
        named[name] = recipe
        if made.seed != config.seeds[0] or made.measure_on != "benchmarks":
            raise UserError("--set seed and measure_on are the comparison's own affair: use --seeds")
        if options.updates is None:
            raise UserError(
                f"preset {config.preset} sets no train_policy.updates, so recipes would train for different times: "
                "--set train_policy.updates=N"
            )
        first = first or made
        for key in unequal(first, made):
            raise UserError(f"recipe {name} has another {key} than recipe {first.recipe.name}: they are compared alike")
    for name in set(config.against) - named.keys():
        raise UserError(f"--against {name}: the recipes that take part are {', '.join(named)}")


def unequal(first: RunConfig, other: RunConfig) -> Iterator[str]:
    """The options that recipes must have in common, where two differ: all but credit, the models that are trained for
    it, and how the policy learns."""
    own = {"recipe", "upstream", "score", "pair", "train_policy"}
    yield from (key for key in RunConfig.model_fields if key not in own and getattr(first, key) != getattr(other, key))
    alike = ("updates", "batch_size", "wrong_share", "optimisation")
    for key in alike:
        if getattr(first.train_policy, key) != getattr(other.train_policy, key):
            yield f"train_policy.{key}"


def baselines(recipes: list[str], wanted: Sequence[str]) -> list[str]:
    """What the others are compared with: those wanted that take part, else the first recipe."""
    return [name for name in dict.fromkeys(wanted) if name in recipes] or recipes[:1]


def in_order(frame: pl.DataFrame, recipes: list[str]) -> pl.DataFrame:
    """The rows in the order in which the recipes were named."""
    return frame.sort(pl.col("recipe").cast(pl.Enum(recipes)), maintain_order=True)


def as_json(work: Comparison, means: pl.DataFrame, gaps: pl.DataFrame, seconds: float) -> dict[str, Any]:
    """The comparison as --json prints it."""
    recipes: dict[str, dict[str, Any]] = {name: dict(cost) for name, cost in work.costs.items()}
    for row in means.to_dicts():
        recipes[row["recipe"]][row["benchmark"]] = {name: row[name] for name in ("mean", "low", "high", "seeds")}
    chosen = work.config.model_dump(mode="json", exclude={"recipes"})
    return {
        **chosen, "start": {name: list(found.values()) for name, found in work.start.items()},
        "recipes": recipes, "differences": gaps.to_dicts(), "skipped": work.skipped,
        "total_seconds": round(seconds, 1),
    }  # fmt: skip


def log(store: Store, run_id: str, means: pl.DataFrame, gaps: pl.DataFrame, result: Mapping[str, Any]) -> None:
    """Put the tables, the figure and the means on the parent run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        means.write_parquet(out / "accuracies.parquet")
        gaps.write_parquet(out / "differences.parquet")
        (out / "comparison.md").write_text("\n\n".join((markdown(means, gaps), *caveats(result))) + "\n")
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
