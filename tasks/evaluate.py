"""Stage `evaluate`: the policy's accuracy on every benchmark, greedy and zero-shot."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl
from pydantic import BaseModel, Field

from models import policy
from tasks.progress import Log, silent
from tasks.records import read_table, table, write_table
from tasks.solve import solve
from tasks.work import ALONE, Span, Work


class EvaluateOptions(BaseModel, extra="forbid", frozen=True):
    max_new_tokens: int = Field(512, gt=0, description="length limit of a completion, in tokens")
    batch_size: int = Field(64, gt=0, description="completions made at once")
    shard_size: int = Field(256, gt=0, description="problems in a shard")
    device: str = "auto"


def evaluate(
    options: EvaluateOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), problems (table, its `source` names the benchmark). Writes predictions.

    Logs right/<benchmark>, total/<benchmark> and accuracy/<benchmark>. Greedy decoding has no use for the seed.
    """
    problems = read_table("problems", inputs["problems"], ["problem_id"])
    make = partial(evaluate_shard, options, inputs)
    predictions = work.table("predictions", len(problems), options.shard_size, make, "evaluate", log)
    write_table(predictions, "predictions", out / "predictions.parquet")
    for (benchmark,), group in predictions.group_by("benchmark", maintain_order=True):
        right = int(group["is_right"].sum())
        log(
            {
                f"accuracy/{benchmark}": right / len(group),
                f"right/{benchmark}": right,
                f"total/{benchmark}": len(group),
            }
        )


def evaluate_shard(options: EvaluateOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """The predictions for a span of problems."""
    model, tokenizer = policy.shared(inputs["policy"], policy.device(options.device))
    problems = list(read_table("problems", inputs["problems"], rows=span).iter_rows(named=True))
    solutions = solve(model, tokenizer, problems, policy.Decoding(options.max_new_tokens), options.batch_size)
    rows: list[dict[str, object]] = [
        {
            "benchmark": problems[solution.row]["source"],
            "problem_id": problems[solution.row]["problem_id"],
            "completion": solution.completion,
            "extracted_answer": solution.extracted_answer,
            "is_right": solution.is_right,
        }
        for solution in sorted(solutions, key=lambda solution: solution.row)
    ]
    return table("predictions", rows)
