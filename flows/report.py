"""The end of a run in the terminal: what was gained, how good the GRM is, the time, where all of it lies."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from flows.artifacts import local_path
from flows.notes import caveats
from flows.page import PAGE
from flows.pipeline import Outcome
from flows.retention import Waste, parent_of
from flows.store import Store
from flows.summary import SIDES
from tasks.measure_credit import text_table

QUALITY = {
    "rewrites_right": "rewrites right",
    "equations_hold": "every equation holds",
    "edit_fraction": "edit fraction",
    "locating_accuracy": "locating accuracy",
}
HEADING = ("preset", "recipe", "checkpoint", "against", "seed")
NEGATIVE = "negative_token_share"
UI = "http://127.0.0.1:5000"


def errors_console(width: int = 120) -> Console:
    """Standard error; of this width where it is no terminal, which has one."""
    made = Console(stderr=True)
    if not made.is_terminal:
        made.width = width
    return made


def show(outcome: Outcome, store: Store) -> None:
    """Print the tables of a finished pipeline on standard error."""
    console = errors_console()
    runs = {stage["name"]: stage["run_id"] for stage in outcome.summary["stages"]}
    numbers = outcome.numbers
    console.print()
    for table in (
        accuracy_table(outcome.summary),
        measures_table(numbers),
        comparison_table(numbers.get("compare_predictions", {})),
        quality_table(numbers.get("rewrite", {})),
    ):
        if table.row_count:
            console.print(table)
    negative = numbers.get("score", {}).get(NEGATIVE)
    if negative is not None:
        console.print(f"Tokens with a negative reward: {negative:.1%}")
    console.print(seconds_table(outcome.summary))
    for warning in outcome.summary["warnings"]:
        console.print(f"Warning: {warning}", style="yellow", soft_wrap=True, markup=False)
    for line in (*model_lines(runs, store), *mlflow_lines(outcome, store)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def show_waste(unneeded: Waste) -> None:
    """Print what the store no longer needs: the runs that a user started by name, the rest by number."""
    console = Console(stderr=True)
    tops = [run for run in unneeded.runs if not parent_of(run)]
    table = plain_table("Not needed any more", "run", "began", "state")
    for run in tops:
        began = datetime.fromtimestamp(run.info.start_time / 1000)
        table.add_row(run.info.run_name, f"{began:%Y-%m-%d %H:%M}", run.info.status)
    if tops:
        console.print(table)
    stages = sum(run.data.tags.get("rlmec.kind") == "stage" for run in unneeded.runs)
    console.print(
        f"{len(unneeded.runs)} runs, {stages} of them stages; "
        f"{len(unneeded.versions)} versions of registered policies; "
        f"{len(unneeded.folders)} folders of unfinished stages; "
        f"{unneeded.size / 1e6:,.1f} MB on this machine's disks",
        soft_wrap=True,
        highlight=False,
    )


def percent(figures: Mapping[str, float] | None) -> str:
    """A share with its interval: `74.0 % [65.4, 81.1]`; a dash where it was not measured."""
    if figures is None:
        return "–"
    return rf"{100 * figures['rate']:.1f} % \[{100 * figures['low']:.1f}, {100 * figures['high']:.1f}]"


def plain_table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, title_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place == 0 else "right")
    return table


def accuracy_table(summary: Mapping[str, Any]) -> Table:
    """Accuracy of each side on each benchmark with 95 % intervals, and what was gained by training."""
    names = {name: summary[name] for name in HEADING if summary.get(name) is not None}
    title = f"Accuracy ({', '.join(f'{name} {text}' for name, text in names.items())})"
    sides = list(dict.fromkeys(side for found in summary["accuracy"].values() for side in found))
    is_trained = {"before", "after"} <= set(sides)
    table = plain_table(title, "benchmark", "problems", *sides, *(["gain"] if is_trained else []))
    for benchmark, found in summary["accuracy"].items():
        row = [benchmark, str(next(iter(found.values()))["total"]), *(percent(found.get(side)) for side in sides)]
        if is_trained:
            before, after = found.get("before"), found.get("after")
            row.append(f"{100 * (after['rate'] - before['rate']):+.1f}" if before and after else "–")
        table.add_row(*row)
    return table


def measures_table(numbers: Mapping[str, Mapping[str, float]]) -> Table:
    """The measures of several samples a problem, pass@k and majority, of each model and benchmark."""
    labels = [label for label in SIDES if any(name.startswith("majority/") for name in numbers.get(label, {}))]
    table = plain_table("From several samples a problem", "benchmark", "measure", *(SIDES[label] for label in labels))
    names = {name: None for label in labels for name in numbers[label] if re.match(r"(pass_at_\d+|majority)/", name)}
    for name in sorted(
        names, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
    ):
        measure, _, benchmark = name.partition("/")
        table.add_row(
            benchmark, measure.replace("_at_", "@"), *(f"{100 * numbers[label][name]:.1f} %" for label in labels)
        )
    return table


def comparison_table(metrics: Mapping[str, float]) -> Table:
    """The difference of two models on the same problems, with its 95 % interval and McNemar's p."""
    table = plain_table("On the same problems", "benchmark", "difference", "95 % interval", "p (McNemar)")
    for name, difference in sorted(metrics.items()):
        figure, _, benchmark = name.partition("/")
        if figure == "difference":
            low, high, p = (metrics[f"{other}/{benchmark}"] for other in ("low", "high", "p_mcnemar"))
            interval = rf"\[{100 * low:+.1f}, {100 * high:+.1f}]"
            table.add_row(benchmark, f"{100 * difference:+.1f}", interval, f"{p:.3g}")
    return table


def quality_table(metrics: Mapping[str, float]) -> Table:
    """How good the GRM's rewrites are, apart for pairs that it was trained on and pairs that it never saw."""
    found = {match.group(2) for name in metrics if (match := re.fullmatch(r"(\w+)/(.+)", name))}
    known = {name for name in found if any(f"{figure}/{name}" in metrics for figure in QUALITY)}
    groups = sorted(known, key=lambda name: ["trained", "unseen", *sorted(known)].index(name))
    table = plain_table("GRM quality", "", *groups)
    for figure, label in QUALITY.items():
        values = [metrics.get(f"{figure}/{group}") for group in groups]
        if any(value is not None for value in values):
            table.add_row(label, *(f"{value:.1%}" if value is not None else "–" for value in values))
    return table


def recipes_table(result: Mapping[str, Any]) -> Table:
    """What each recipe solves on each benchmark, mean over seeds with its 95 % interval, and what it costs."""
    recipes = result["recipes"]
    benchmarks = [name for name, figures in next(iter(recipes.values())).items() if isinstance(figures, dict)]
    title = f"Recipes (preset {result['preset']}, seeds {', '.join(map(str, result['seeds']))})"
    table = plain_table(title, "recipe", *benchmarks, "learning rate", "seconds", "million tokens")
    for name, found in recipes.items():
        shares = [percent({**found[benchmark], "rate": found[benchmark]["mean"]}) for benchmark in benchmarks]
        cost = [f"{found['learning_rate']:g}", f"{found['seconds']:.0f}", f"{found['tokens'] / 1e6:.2f}"]
        table.add_row(name, *shares, *cost)
    return table


def differences_table(result: Mapping[str, Any]) -> Table:
    """Each recipe's paired difference to the baselines, in points, with p-values corrected by Holm."""
    table = plain_table(
        "Paired differences, in points", "recipe", "to", "benchmark", "difference", "95 % interval", "p (bootstrap)",
        "p (McNemar)",
    )  # fmt: skip
    for row in result["differences"]:
        interval = rf"\[{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
        numbers = [f"{100 * row['difference']:+.1f}", interval]
        numbers += [f"{row[name]:.2g}" for name in ("p_corrected", "p_mcnemar_corrected")]
        table.add_row(row["recipe"], row["against"], row["benchmark"], *numbers)
    return table


def show_comparison(outcome: Outcome, store: Store) -> None:
    """Print the tables of a finished comparison on standard error."""
    console = errors_console(160)
    for table in (recipes_table(outcome.summary), differences_table(outcome.summary)):
        console.print(table)
    for line in (*caveats(outcome.summary), *mlflow_lines(outcome, store)):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def show_credit(outcome: Outcome, store: Store) -> None:
    """Print how well each credit source finds errors, on standard error."""
    console = errors_console()
    title = f"Credit against the teacher's edits (preset {outcome.summary['preset']}, means over seeds)"
    heads, *lines = text_table(outcome.summary["credit"])
    table = plain_table(title, *heads)
    for cells in lines:
        table.add_row(*cells)
    console.print(table)
    for line in mlflow_lines(outcome, store):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def seconds_table(summary: Mapping[str, Any]) -> Table:
    """Seconds of each stage; a reused one shows what it took when it ran."""
    table = plain_table("Time", "stage", "seconds", "")
    for stage in summary["stages"]:
        table.add_row(stage["name"], f"{stage['seconds']:.1f}", "reused" if stage["reused"] else "")
    table.add_row("this run", f"{summary['seconds']:.1f}", "", style="bold")
    return table


def model_lines(runs: Mapping[str, str], store: Store) -> list[str]:
    """Where the trained policy lies and how it is loaded."""
    run_id = runs.get("train_policy")
    if run_id is None:
        return []
    path = store.fetch(store.stage_run(run_id).outputs["model"])
    return [
        f"The trained policy lies in {path}",
        "    from transformers import AutoModelForCausalLM, AutoTokenizer",
        f"    model = AutoModelForCausalLM.from_pretrained({str(path)!r})",
        f"    tokenizer = AutoTokenizer.from_pretrained({str(path)!r})",
    ]


def mlflow_lines(outcome: Outcome, store: Store) -> list[str]:
    """Where the run is seen in MLflow."""
    address = f"experiments/{store.experiment}/runs/{outcome.run_id}"
    where = f"{store.uri}/#/{address}" if store.is_remote else f"`rlmec ui`, then {UI}/#/{address}"
    return [f"In MLflow: {where}", *page_lines(outcome.run_id, store)]


def page_lines(run_id: str, store: Store) -> list[str]:
    """Where a run's page is, if it has one."""
    if store.is_remote:
        return [f"Its page: {store.uri}/#/experiments/{store.experiment}/runs/{run_id}/artifacts/{PAGE}"]
    root = local_path(store.client.get_run(run_id).info.artifact_uri)
    return [f"Its page, for any browser: {root / PAGE}"] if root and (root / PAGE).is_file() else []
