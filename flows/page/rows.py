"""The rows of a run page's browser: samples and benchmark problems, as many as fit into a page."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from mlflow.entities import Run

from flows.artifacts import StageRun
from flows.store import Store
from tasks.page_answers import answer_rows
from tasks.page_samples import sample_rows
from tasks.token_texts import load_tokenizer

TRAINED = ("warm_up", "train_reward_model", "train_policy")
MOST_ROWS, ANSWERS = 500, 120  # rows of the browser, and how many of them are benchmark problems where both are shown
MOST_BYTES = 2_300_000  # of them: the page stays below 3 MB


def tokenizer_of(store: Store, stages: Mapping[str, StageRun]) -> Any:
    """The tokenizer of the run's policy, from whichever model a stage saved; None where there is none."""
    for label in reversed(TRAINED):
        if label in stages and "model" in stages[label].outputs:
            try:
                return load_tokenizer(store.fetch(stages[label].outputs["model"]))
            except (OSError, ValueError):
                continue
    return None


def browser(
    store: Store, tables: Mapping[str, Path], stages: Mapping[str, StageRun], runs: Mapping[str, Run],
    rewards: Mapping[str, Any] | None,
) -> dict[str, Any]:  # fmt: skip
    """The page's data: the rows of its browser, as many as fit, and what they have in common."""
    has_samples, has_answers = {"samples", "train"} <= set(tables), {"before", "after", "benchmarks"} <= set(tables)
    rows: list[dict[str, Any]] = []
    if has_answers:
        most = ANSWERS if has_samples else MOST_ROWS
        rows += fitting(answer_rows(tables, tables["benchmarks"], most), MOST_BYTES // 3)
    if has_samples:
        tokenizer = tokenizer_of(store, stages) if rewards else None
        room = MOST_BYTES - sum(map(size, rows))
        rows = fitting(sample_rows(tables, tokenizer, MOST_ROWS - len(rows)), room) + rows
    low, high = (rewards["low"], rewards["high"]) if rewards else (0.0, 0.0)
    return {"rows": rows, "low": round(low, 3), "high": round(high, 3), "credit": credit_source(tables),
            "runs": {label: run.info.run_id for label, run in runs.items()}}  # fmt: skip


def credit_source(tables: Mapping[str, Path]) -> str | None:
    """What gave the tokens their rewards; a probability is the GRM's only where it is that."""
    if "token_rewards" not in tables:
        return None
    named = pl.scan_parquet(tables["token_rewards"]).select("credit_source").head(1).collect()["credit_source"]
    return str(named[0]) if len(named) else None


def size(row: Mapping[str, Any]) -> int:
    """The bytes that a row takes on the page."""
    return len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())


def fitting(rows: Iterator[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """The first rows that together take no more than `room` bytes."""
    kept = []
    for row in rows:
        room -= size(row)
        if room < 0:
            break
        kept.append(row)
    return kept


def shown_of(data: Mapping[str, Any], tables: Mapping[str, Path]) -> dict[str, Any]:
    """What the browser's heading says: of how many its rows are a part, and of what."""
    is_answer = [("after" in row) for row in data["rows"]]
    has_samples, has_answers = not all(is_answer), any(is_answer)
    there_are = 0
    for name, counts in (("samples", has_samples), ("after", has_answers)):
        if counts and name in tables:
            there_are += pl.scan_parquet(tables[name]).select(pl.len()).collect().item()
    return {"there_are": there_are, "has_samples": has_samples, "has_both": has_samples and has_answers}
