"""Pages, figures and tables into MLflow, beside a run's summary.

A run that is finished stays finished: what goes wrong in drawing it is told in one line, and no more.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.artifacts import load_dict
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from flows.artifacts import StageRun
from flows.digests import DamagedError
from flows.page import PAGE
from flows.page.comparison import comparison_page
from flows.page.run import run_files
from flows.stage import say
from flows.store import Store, one_line
from tasks.errors import UserError

TABLES = "mlflow.loggedArtifacts"  # the tag by which MLflow's page knows which JSON files are tables
CREDIT = "credit"  # the purpose of a comparison of credit sources, and of the pipelines below it
SUMMARIES = {"pipeline": "summary.json", "round": "summary.json", "comparison": "comparison.json"}


def publish_run(
    store: Store, run_id: str, summary: Mapping[str, Any], stages: Mapping[str, StageRun] | None = None
) -> None:
    """Log the page of a pipeline's run that has just finished. stages: where they are known already, by label."""
    with harmless("run"):
        draw_run(store, run_id, summary, readable(store, summary) if stages is None else stages)


def draw_run(store: Store, run_id: str, summary: Mapping[str, Any], stages: Mapping[str, StageRun]) -> None:
    """The page of a pipeline's run with its figures and tables."""
    log_files(store, run_id, run_files(store, run_id, summary, stages))
    columns = ("name", "seconds", "reused", "run_id")
    stages_of = [{column: stage[column] for column in columns} for stage in summary["stages"]]
    log_tables(store, run_id, {"accuracy": accuracy_rows(summary), "stages": stages_of})


def publish_comparison(store: Store, run_id: str, result: Mapping[str, Any]) -> None:
    """Log the page of a comparison that has just finished."""
    with harmless("comparison"):
        draw_comparison(store, run_id, result)


def draw_comparison(store: Store, run_id: str, result: Mapping[str, Any]) -> None:
    """The page of a comparison with its tables."""
    log_files(store, run_id, {PAGE: comparison_page(store, run_id, result)})
    means = [
        {"recipe": name, "benchmark": benchmark, **{key: found[key] for key in ("mean", "low", "high")}}
        for name, recipe in result["recipes"].items()
        for benchmark, found in recipe.items()
        if isinstance(found, dict)
    ]
    log_tables(store, run_id, {"accuracies": means, "differences": result["differences"]})


def publish_again(store: Store, text: str) -> str:
    """Draw the page of an earlier pipeline, round or comparison anew; its run id. UserError where there is none, where
    it is one of credit sources, or where it did not end well and so has no summary."""
    run = store.named(text, *SUMMARIES)
    if run.data.tags.get("rlmec.purpose") == CREDIT and run.data.tags["rlmec.kind"] == "comparison":
        name = run.info.run_name
        raise UserError(f"{name} compares credit sources, which has no page: see credit.md among its artifacts")
    file = SUMMARIES[run.data.tags["rlmec.kind"]]
    summary = read_summary(run, file)
    if file == "summary.json":
        draw_run(store, run.info.run_id, summary, readable(store, summary))
    else:
        draw_comparison(store, run.info.run_id, summary)
    return str(run.info.run_id)


def read_summary(run: Run, file: str) -> dict[str, Any]:
    """The summary among a run's artifacts."""
    try:
        return dict(load_dict(f"{run.info.artifact_uri}/{file}"))
    except (MlflowException, OSError, ValueError) as error:
        raise UserError(
            f"run {run.info.run_name} ({run.info.status}) has no {file}: only a finished run has a page"
        ) from error


def readable(store: Store, summary: Mapping[str, Any]) -> dict[str, StageRun]:
    """The stages of a summary whose outputs are still there and whole."""
    found = {}
    for stage in summary["stages"]:
        try:
            found[stage["name"]] = store.stage_run(stage["run_id"])
        except (DamagedError, MlflowException) as error:
            say(f"{stage['name']}: not on the page, {one_line(error)}")
    return found


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Tell of an exception in one line instead of raising it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (a run that is finished does not fail for its page)
        say(f"Warning: the page of the {what} could not be made ({type(error).__name__}: {one_line(error)})")


def log_files(store: Store, run_id: str, files: Mapping[str, str]) -> None:
    """Log texts as artifacts, by path."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        store.client.log_artifacts(run_id, folder)


def log_tables(store: Store, run_id: str, tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Log rows as tables that MLflow's page draws: JSON files of columns and data, named in a tag of the run. That is
    what its log_table writes, which needs pandas."""
    files = {}
    for name, rows in tables.items():
        columns = list(rows[0]) if rows else []
        files[f"tables/{name}.json"] = json.dumps({"columns": columns, "data": [list(row.values()) for row in rows]})
    log_files(store, run_id, files)
    store.tag(run_id, {TABLES: json.dumps([{"path": path, "type": "table"} for path in files])})


def accuracy_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row for each benchmark and side."""
    return [
        {"benchmark": benchmark, "side": side, **figures}
        for benchmark, sides in summary["accuracy"].items()
        for side, figures in sides.items()
    ]
