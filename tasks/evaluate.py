"""Stage `evaluate`: the policy's accuracy on every benchmark, greedy and zero-shot."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, Field

from models import policy
from tasks.progress import Log, silent, track
from tasks.records import read_table, table, write_table
from tasks.solve import solve


class EvaluateOptions(BaseModel, extra="forbid", frozen=True):
    max_new_tokens: int = Field(512, gt=0, description="length limit of a completion, in tokens")
    batch_size: int = Field(64, gt=0, description="completions made at once")
    device: str = "auto"


def evaluate(
    options: EvaluateOptions, inputs: Mapping[str, Path], out: Path, *, seed: int = 0, log: Log = silent
) -> None:
    """inputs: policy (folder), problems (table, its `source` names the benchmark). Writes predictions.

    Logs right/<benchmark>, total/<benchmark> and accuracy/<benchmark>. Greedy decoding has no use for the seed.
    """
    model, tokenizer = policy.load(inputs["policy"], policy.device(options.device))
    problems = list(read_table("problems", inputs["problems"]).iter_rows(named=True))
    decoding = policy.Decoding(options.max_new_tokens)
    solutions = solve(model, tokenizer, problems, decoding, options.batch_size)
    made = sorted(track(solutions, "evaluate", len(problems), "problems"), key=lambda solution: solution.row)
    rows: list[dict[str, object]] = [
        {
            "benchmark": problem["source"],
            "problem_id": problem["problem_id"],
            "completion": solution.completion,
            "extracted_answer": solution.extracted_answer,
            "is_right": solution.is_right,
        }
        for problem, solution in zip(problems, made, strict=True)
    ]
    predictions = table("predictions", rows)
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
