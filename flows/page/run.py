"""The page of a pipeline's run, from its summary and from what its stages left in the store.

A part of the page whose stages did not run, or whose files are gone, is left out.
"""

import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from flows.artifacts import StageRun
from flows.control import pair_credit
from flows.notes import duration, outcomes
from flows.page import PAGE, charts, figure, render
from flows.page.picture import Arrow, picture
from flows.page.rows import TRAINED, browser, shown_of, tokenizer_of
from flows.store import Store
from tasks.intervals import wilson
from tasks.page_answers import gains
from tasks.page_samples import pair_rewards
from tasks.page_statistics import edit_statistics, reward_statistics
from tasks.records import write_table

CURVES = {
    "loss": ("loss", "", False),
    "development_accuracy": ("development accuracy", "%", True),
    "reward_mean": ("mean reward of a token", "", False),
    "kl_to_reference": ("divergence from the reference policy", "nats a token", False),
    "clipped_fraction": ("clipped tokens", "%", True),
    "pairs_ordered": ("pairs in the right order", "%", True),
    "outcomes_told": ("right and wrong samples told apart", "%", True),
    "gradient_norm": ("norm of the gradient", "", False),
}
QUALITY = {
    "rewrites_right": "rewrites with the right answer",
    "equations_hold": "… in which every equation holds",
    "locating_accuracy": "first wrong step found as the teacher does",
    "edit_fraction": "tokens edited, where right",
}
OUTPUTS = {  # what the page reads: (stage, output)
    "train": ("prepare", "train"),
    "benchmarks": ("prepare", "benchmarks"),
    "samples": ("sample", "samples"),
    "rewrites": ("rewrite", "rewrites"),
    "teacher": ("teach", "rewrites"),
    "pairs": ("train_reward_model", "pairs"),
    "edits": ("align", "edits"),
    "token_rewards": ("score", "token_rewards"),
    "credited": ("pair", "pairs"),  # whose credit stands for token rewards
    "before": ("evaluate-before", "predictions"),
    "after": ("evaluate-after", "predictions"),
}


def run_files(store: Store, run_id: str, summary: Mapping[str, Any], stages: Mapping[str, StageRun]) -> dict[str, str]:
    """The page of a run and its figures, by path. stages: those of the summary whose outputs can be read, by label."""
    parent = store.client.get_run(run_id)
    runs = {stage["name"]: store.client.get_run(stage["run_id"]) for stage in summary["stages"]}
    with tempfile.TemporaryDirectory() as folder:
        return drawn_files(store, parent, summary, stages, runs, tables_of(store, stages, runs, Path(folder)))


def tables_of(store: Store, stages: Mapping[str, StageRun], runs: Mapping[str, Run], folder: Path) -> dict[str, Path]:
    """What the page reads, by name; what is no stage's output is written to the folder."""
    tables = {
        name: store.fetch(stages[label].outputs[output])
        for name, (label, output) in OUTPUTS.items()
        if label in stages and output in stages[label].outputs
    }
    if "teacher" in tables and not {"rewrite", "train_reward_model"} & runs.keys():  # recipe figa learns from these
        tables["rewrites"] = tables.pop("teacher")
    credited = tables.pop("credited", None)
    if credited and "token_rewards" not in tables and (credit := pair_credit(runs["pair"])):
        tables["token_rewards"] = folder / "token_rewards.parquet"
        write_table(pair_rewards(credited, credit), "token_rewards", tables["token_rewards"])
    return tables


def drawn_files(
    store: Store, parent: Run, summary: Mapping[str, Any], stages: Mapping[str, StageRun], runs: Mapping[str, Run],
    tables: Mapping[str, Path],
) -> dict[str, str]:  # fmt: skip
    """As run_files."""
    run_id = parent.info.run_id
    parts: dict[str, Any] = {
        "accuracy": summary["accuracy"],
        "gains": gains_of(tables),
        "dumbbells": charts.dumbbells(summary["accuracy"]),
        "warnings": summary.get("warnings", []),
        "picture": pipeline(store, summary, runs),
        "curves": [
            (label, drawn)
            for label, run in runs.items()
            if label.partition("-")[0] in TRAINED and (drawn := curves(store, run))
        ],
        "quality": quality(runs["rewrite"].data.metrics) if "rewrite" in runs else None,
        "edits": edits(tables),
        "rewards": rewards(store, tables, stages),
    }
    data = browser(store, tables, stages, runs, parts["rewards"])
    page = render(
        "run", title=parent.info.run_name, eyebrow="RLMEC run", lead=lead(summary, parts["gains"]), run_id=run_id,
        facts=list(facts(parent, summary)), parts=[part for part in SECTIONS if is_there(part[0], parts, data)],
        data=data, shown=len(data["rows"]), **shown_of(data, tables), **parts,
    )  # fmt: skip
    figures = {"pipeline": figure("pipeline", parts["picture"])}
    if parts["accuracy"]:
        figures["accuracy"] = figure("dumbbells", parts["dumbbells"])
    if parts["rewards"]:
        figures["rewards"] = figure("shares", parts["rewards"]["chart"])
    return {PAGE: page, **{f"figures/{name}.svg": drawn for name, drawn in figures.items()}}


SECTIONS = (
    ("result", "Result"), ("pipeline", "Pipeline"), ("training", "Training"), ("reward-model", "Reward model"),
    ("edits", "Edits"), ("rewards", "Token rewards"), ("samples", "Samples"),
)  # fmt: skip


def is_there(anchor: str, parts: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    """Whether the page has a section."""
    own = {"result": parts["accuracy"], "training": parts["curves"], "reward-model": parts["quality"],
           "samples": data["rows"], "pipeline": True}  # fmt: skip
    return bool(own[anchor] if anchor in own else parts[anchor])


def facts(parent: Run, summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What identifies a run, for the head of its page."""
    for name in ("preset", "recipe", "checkpoint", "against", "seed"):
        if summary.get(name) is not None:
            yield name, str(summary[name])
    yield "started", f"{datetime.fromtimestamp(parent.info.start_time / 1000):%Y-%m-%d %H:%M}"
    stages = summary["stages"]
    reused = sum(stage["reused"] for stage in stages)
    yield "stages", f"{len(stages)}, {reused} of them found in the store"
    yield "took", duration(summary["seconds"])
    yield "MLflow run", parent.info.run_id


def lead(summary: Mapping[str, Any], gains: Mapping[str, Mapping[str, float]]) -> str:
    """The first benchmark's gain as a sentence; none where nothing was trained."""
    for benchmark, gain in gains.items():
        if benchmark == next(iter(summary["accuracy"])):
            before, after = (100 * summary["accuracy"][benchmark][side]["rate"] for side in ("before", "after"))
            change = f"{100 * gain['difference']:+.1f} points [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
            return f"Of {benchmark} the policy solved {before:.1f} % before training and {after:.1f} % after: {change}."
    return ""


def gains_of(tables: Mapping[str, Path]) -> dict[str, dict[str, float]]:
    """The paired gain on each benchmark, where both evaluations are there."""
    return gains(tables["before"], tables["after"]) if {"before", "after"} <= set(tables) else {}


def pipeline(store: Store, summary: Mapping[str, Any], runs: Mapping[str, Run]) -> dict[str, Any]:
    """The picture of the stages with the inputs that they recorded. A stage that was found in the store may have read
    from another run of the same stage, with the same bytes; its arrow begins at this pipeline's."""
    labels = {run.info.run_id: label for label, run in runs.items()}

    def source(text: str) -> str:
        if text.startswith("external:"):
            return text.removeprefix("external:")
        return labels.get(text) or str(store.client.get_run(text).info.run_name)

    prefix = "rlmec.input."
    arrows = [
        Arrow(source(text), label, tag.removeprefix(prefix))
        for label, run in runs.items()
        for tag, text in run.data.tags.items()
        if tag.startswith(prefix)
    ]
    drawn: list[dict[str, Any]] = []
    for stage in summary["stages"]:
        run = runs[stage["name"]]
        told = list(outcomes(run.data.tags.get("rlmec.stage", ""), run.data.metrics))
        drawn.append({**stage, "about": "; ".join(told[:2])})
    return picture(drawn, arrows)


def curves(store: Store, run: Run) -> list[dict[str, Any]]:
    """At most three line charts of a training stage."""
    drawn: list[dict[str, Any]] = []
    for name, (title, unit, percent) in CURVES.items():
        if name in run.data.metrics and len(drawn) < 3:
            history = store.client.get_metric_history(run.info.run_id, name)
            points = sorted({metric.step: metric.value for metric in history}.items())
            if len(points) > 1:
                drawn.append(charts.curve(points, title, unit, percent))
    return drawn


def quality(metrics: Mapping[str, float]) -> dict[str, Any] | None:
    """How good the GRM's rewrites are, in groups; shares of all pairs of a group come with their interval."""
    groups = [name for name in ("trained", "unseen", "unpaired") if f"pairs/{name}" in metrics]
    rows = []
    for measure, name in QUALITY.items():
        cells = [cell(metrics.get(f"{measure}/{group}"), metrics[f"pairs/{group}"], measure) for group in groups]
        if any(cells):
            rows.append({"name": name, "cells": cells})
    heads = [{"name": name, "pairs": metrics[f"pairs/{name}"]} for name in groups]
    return {"groups": heads, "rows": rows} if rows else None


def cell(rate: float | None, pairs: float, measure: str) -> dict[str, float | None] | None:
    """A share of a group's pairs with its interval; what is no share of pairs has none."""
    if rate is None:
        return None
    low, high = (None, None) if measure == "edit_fraction" else wilson(round(rate * pairs), int(pairs))
    return {"rate": rate, "low": low, "high": high}


def edits(tables: Mapping[str, Path]) -> dict[str, Any] | None:
    """What the rewrites that the policy learns from changed."""
    if "rewrites" not in tables:
        return None
    found = edit_statistics(tables["rewrites"], tables.get("edits"))
    return {**found, "chart": charts.columns(found["fractions"], found["accepted"]) if found["accepted"] else None}


def rewards(store: Store, tables: Mapping[str, Path], stages: Mapping[str, StageRun]) -> dict[str, Any] | None:
    """How rewards are distributed, and which tokens get most and least."""
    if not {"samples", "token_rewards"} <= set(tables):
        return None
    found = reward_statistics(tables["samples"], tables["token_rewards"], tables.get("edits"))
    if not found["verdicts"]:
        return None
    tokenizer = tokenizer_of(store, stages)
    for rows in found["tokens"].values():
        for row in rows:
            row["text"] = (
                tokenizer.decode([row["token"]], skip_special_tokens=False) if tokenizer else f"id {row['token']}"
            )
    return {**found, "chart": charts.shares(found["histogram"])}
