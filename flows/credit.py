"""`rlmec compare --credit`: how well each credit source finds the tokens that made a sample wrong.

No policy is trained with the credit: each source scores the policy's samples of development problems, which nothing was
trained on, and its blame is held against the teacher's edits (`tasks/measure_credit.py`). What training needs (GRM, DPO
model, implicit reward model, models of right and of wrong samples) is made as the recipes make it, and shared with them
through the stages' keys.
"""

import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from prefect import flow
from pydantic import BaseModel, Field

from flows.config import DEFAULT_PRESET, RunConfig, validated
from flows.control import Control
from flows.engine import Prefect
from flows.method import begin, material
from flows.metrics import MetricLog
from flows.notes import NOTE, credit_note
from flows.page.publish import CREDIT, log_tables
from flows.pipeline import Outcome, Part, run_method
from flows.server import prefect_server
from flows.stage import say
from flows.store import Store, open_store
from flows.tables import apply_recipe, apply_setting, preset_tables, read_recipe
from tasks.markdown import markdown_table
from tasks.measure_credit import FIGURES, MeasureCreditOptions, text_table
from tasks.score import ScoreOptions

# What the table calls a source: the credit source, and the name of the model that it reads as credit_model.
SOURCES = {
    "grm": ("grm", None),
    "grm-edits": ("edits", None),
    "surprisal": ("surprisal", None),
    "dpo": ("log_ratio", "dpo"),
    "implicit-reward": ("log_ratio", "implicit"),
    "critical": ("critical", None),
    "contrast": ("contrast", None),
    "outcome": ("outcome", None),
}
UPSTREAM = {"dpo": ("tgdpo", "credit_model"), "implicit": ("prime", "credit_model"),
            "right_model": ("cdpo", "right_model"), "wrong_model": ("cdpo", "wrong_model")}  # fmt: skip
KEYS = ["source", "group"]


class CreditComparisonConfig(BaseModel, extra="forbid", frozen=True):
    """All that a comparison of credit sources depends on."""

    preset: str = DEFAULT_PRESET
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1)
    sets: tuple[str, ...] = Field((), description="section.key=value, over the preset and recipe rlmec")

    def run(self, seed: int) -> RunConfig:
        """Recipe rlmec, and upstream every model that a source reads."""
        tables = preset_tables(self.preset)
        apply_recipe(tables, read_recipe("rlmec"))
        trained = {name: read_recipe(recipe).options["upstream"][of] for name, (recipe, of) in UPSTREAM.items()}
        tables |= {"seed": seed, "upstream": trained}
        for text in self.sets:
            apply_setting(tables, text)
        return validated(tables)


def measured(run: Any, config: RunConfig) -> None:
    """Every source's credit on the development problems, against the teacher's edits there."""
    data, policy = begin(run, config)
    made = material(run, config, policy, data["train"])
    problems = data["development"]
    samples = run("sample", config.sample, label="sample-held-out", policy=policy, problems=problems)["samples"]
    held = {"samples": samples, "problems": problems}
    taught = run("teach", config.teach, label="teach-held-out", tokenizer=policy, **held)["rewrites"]
    truth = run("align", config.align, label="align-held-out", samples=samples, rewrites=taught)["edits"]
    mended = run("rewrite", config.rewrite, label="rewrite-held-out", reward_model=made["reward_model"],
                 teacher_rewrites=taught, pairs=made["trained_pairs"], **held)["rewrites"]  # fmt: skip
    edits = run("align", config.align, label="align-grm-held-out", samples=samples, rewrites=mended)["edits"]
    for name, (source, model) in SOURCES.items():
        settings = config.score.settings if source == config.score.credit else {}
        options = ScoreOptions(**{**config.score.plain.model_dump(), "credit": source, "settings": settings})
        read = {**made, "edits": edits, "credit_model": made.get(model or "")}
        needed = {need: read[need] for need in options.needs}
        scored = run("score", options, label=f"score-{name}", policy=policy, **needed, **held)["token_rewards"]
        run("measure_credit", MeasureCreditOptions(), label=f"measure-{name}", seeded=False, token_rewards=scored,
            edits=truth, rewrites=mended)  # fmt: skip


@flow(name="compare-credit")
def compare_credit(config: CreditComparisonConfig) -> Outcome:
    """The sources under every seed, and their figures side by side."""
    store, started = open_store(), time.monotonic()
    store.sweep()
    name = f"compare-credit-{Path(config.preset).stem}-{datetime.now():%m%d-%H%M%S}"
    found = []
    with (
        store.running(name, {"rlmec.kind": "comparison", "rlmec.purpose": CREDIT}) as parent,
        Prefect(config.run(config.seeds[0]).execution) as engine,
    ):
        store.params(parent, config.model_dump(mode="json"))
        for seed in config.seeds:
            say(f"— seed {seed}")
            part = Part(parent, f"seed {seed}", {"rlmec.purpose": CREDIT})
            summary = run_method(measured, config.run(seed), Control(), engine=engine, part=part).summary
            found += [figures(store, summary, name).with_columns(seed=seed) for name in SOURCES]
        every = pl.concat(found, how="vertical_relaxed")
        result = {**config.model_dump(mode="json"), "credit": means(every).to_dicts(), "seeds_apart": every.to_dicts(),
                  "total_seconds": round(time.monotonic() - started, 1)}  # fmt: skip
        log(store, parent, every, result)
        store.tag(parent, {NOTE: credit_note(result)})
    return Outcome(result, parent)


def figures(store: Store, summary: dict[str, Any], source: str) -> pl.DataFrame:
    """A source's rows of credit_quality, as its stage left them."""
    run_id = next(stage["run_id"] for stage in summary["stages"] if stage["name"] == f"measure-{source}")
    table = pl.read_parquet(store.fetch(store.stage_run(run_id).outputs["credit_quality"]))
    kinds = dict.fromkeys(FIGURES, pl.Float64)
    return table.cast(kinds).select(pl.lit(source).alias("source"), pl.all())  # type: ignore[arg-type]


def means(every: pl.DataFrame) -> pl.DataFrame:
    """A row a source and group: means over seeds, and their smallest and largest values."""
    spread = [agg for name in FIGURES for agg in (
        pl.col(name).mean(), pl.col(name).min().alias(f"{name}_min"), pl.col(name).max().alias(f"{name}_max"),
    )]  # fmt: skip
    return every.group_by(KEYS, maintain_order=True).agg(pl.col("samples").sum(), pl.col("tokens").sum(), *spread)


def markdown(result: dict[str, Any]) -> str:
    """The comparison as a Markdown table, a row a source and group."""
    heads, *lines = text_table(result["credit"])
    return markdown_table(heads, lines)


def log(store: Store, run_id: str, every: pl.DataFrame, result: dict[str, Any]) -> None:
    """Put the tables and the means on the parent run."""
    with tempfile.TemporaryDirectory() as folder:
        every.write_parquet(Path(folder, "credit.parquet"))
        Path(folder, "credit.md").write_text(markdown(result) + "\n")
        Path(folder, "credit.json").write_text(json.dumps(result, indent=2))
        store.client.log_artifacts(run_id, folder)
    log_tables(store, run_id, {"credit": result["credit"]})
    numbers = MetricLog(store.client, run_id)
    for row in result["credit"]:
        if row["group"] == "all":
            numbers({f"{name}/{row['source']}": row[name] for name in FIGURES if row[name] is not None})
    numbers.flush()


def run_credit_comparison(config: CreditComparisonConfig) -> Outcome:
    """Compare as a Prefect flow; a mistake in the configuration is named before a server is started."""
    config.run(config.seeds[0])
    with prefect_server():
        return compare_credit(config)
