"""Stage `evaluate`: the policy's accuracy on every benchmark, zero-shot: greedy, or from several samples a problem.

With `samples` N above 1, accuracy is the mean over all completions, and two more measures are logged:

    pass_at_k   the chance that one of k completions is right, 1 − C(N−c, k) / C(N, k) where c of the N are
                (Chen et al., 2021, arXiv 2107.03374); k is 1, 2, 4, … up to N
    majority    whether the answer that most completions state is right, the earliest of those stated equally often
                (Wang et al., 2022, arXiv 2203.11171)
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from math import comb
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, Field

from models.policy import Decoding
from tasks.intervals import interval
from tasks.progress import Log, silent
from tasks.records import read_table, table
from tasks.solve import solve_span
from tasks.work import ALONE, Span, Work

ACCURACY = {
    "benchmark": pl.String,
    "subject": pl.String,  # null for the whole benchmark
    "measure": pl.String,  # "accuracy" | "pass_at_K" | "majority"
    "problems": pl.Int64,
    "rate": pl.Float64,
    "low": pl.Float64,  # 95 % interval over problems
    "high": pl.Float64,
}


class EvaluateOptions(BaseModel, extra="forbid", frozen=True):
    samples: int = Field(1, gt=0, description="completions of each problem; 1 is greedy")
    temperature: float = Field(0.7, gt=0, description="for several samples")
    top_p: float = Field(0.95, gt=0, le=1, description="for several samples")
    prompt: Literal["plain", "right"] = Field(
        "plain", description="right: ask for a right solution, as a policy trained with prompt = verdict expects"
    )
    max_new_tokens: int = Field(512, gt=0, description="length limit of a completion, in tokens")
    batch_size: int = Field(64, gt=0, description="completions made at once")
    shard_size: int = Field(256, gt=0, description="problems in a shard")
    device: str = "auto"

    def parts(self) -> list[str]:
        """The policy draws its completions here: a server would serve the same policy before training and after."""
        return ["tasks.samplers.hf"]

    @property
    def decoding(self) -> Decoding:
        """Greedy for one completion; for several, sampling."""
        if self.samples == 1:
            return Decoding(self.max_new_tokens)
        return Decoding(self.max_new_tokens, self.temperature, self.top_p)


def evaluate(
    options: EvaluateOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), problems (table, its `source` names the benchmark). Writes predictions, a row a
    completion, and accuracy, a row for each benchmark, subject and measure.

    Logs accuracy/<benchmark>, low/…, high/…, right/… and total/…; the other measures as pass_at_k/<benchmark> and
    majority/<benchmark>; subjects as accuracy/<benchmark>/<subject>.
    """
    problems = read_table("problems", inputs["problems"], ["source", "problem_id", "subject"])
    make = partial(evaluate_shard, options, inputs, seed)
    made = work.table(out / "predictions.parquet", len(problems), options.shard_size, make, "evaluate", log)
    predictions = made.drop("completion").collect()
    subjects = problems.rename({"source": "benchmark"})
    judged = predictions.join(subjects, on=["benchmark", "problem_id"], how="left", maintain_order="left")
    rows = pl.DataFrame(list(accuracy_rows(judged, options.samples)), schema=ACCURACY, orient="row")
    rows.write_parquet(out / "accuracy.parquet")
    for row in rows.iter_rows(named=True):
        log(figures(row, options.samples))


def evaluate_shard(options: EvaluateOptions, inputs: Mapping[str, Path], seed: int, span: Span) -> pl.DataFrame:
    """The predictions for a span of problems, the completions of each one after the other."""
    verdict = True if options.prompt == "right" else None
    made = solve_span(
        inputs, span, options.samples, options.decoding, options.batch_size, options.device, seed, verdict
    )
    rows: list[dict[str, object]] = [
        {
            "benchmark": problem["source"],
            "problem_id": problem["problem_id"],
            "number": solution.row % options.samples,
            "completion": solution.completion,
            "extracted_answer": solution.extracted_answer,
            "is_right": solution.is_right,
        }
        for problem, solution in made
    ]
    return table("predictions", rows)


def accuracy_rows(judged: pl.DataFrame, samples: int) -> Iterator[tuple[object, ...]]:
    """Rows of the accuracy table, from predictions with their problems' subjects."""
    for (benchmark,), group in judged.group_by("benchmark", maintain_order=True):
        for measure, scores in measures(group, samples):
            yield (benchmark, None, measure, *described(list(scores.values())))
        subjects = group.filter(pl.col("subject").is_not_null())
        for (subject,), part in subjects.sort("subject").group_by("subject", maintain_order=True):
            _, scores = next(measures(part, samples))
            yield (benchmark, subject, "accuracy", *described(list(scores.values())))


def described(scores: Sequence[float]) -> tuple[int, float, float, float]:
    """How many problems there are, their mean score and its 95 % interval."""
    return (len(scores), sum(scores) / len(scores), *interval(scores))


def measures(predictions: pl.DataFrame, samples: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Each measure's score of every problem, by problem id: `accuracy` first."""
    counts = predictions.group_by("problem_id", maintain_order=True).agg(pl.col("is_right").sum())
    right: dict[str, int] = dict(counts.iter_rows())
    yield "accuracy", {problem_id: count / samples for problem_id, count in right.items()}
    if samples == 1:
        return
    for k in takewhile(lambda k: k <= samples, (2**power for power in range(1, 64))):
        yield f"pass_at_{k}", {problem_id: pass_at_k(samples, count, k) for problem_id, count in right.items()}
    groups = predictions.sort("number").group_by("problem_id", maintain_order=True)
    yield "majority", {str(problem_id): majority(group) for (problem_id,), group in groups}


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The chance that one of k completions, drawn from `samples` of which `right` are right, is right."""
    return 1 - comb(samples - right, k) / comb(samples, k)


def majority(completions: pl.DataFrame) -> float:
    """1 where the answer that most of a problem's completions state is right; one without an answer has no vote."""
    votes = completions.filter(pl.col("extracted_answer").is_not_null())
    if not len(votes):
        return 0.0
    # Counter keeps the order of first appearance, and most_common the first of equals.
    (chosen, _), *_ = Counter(votes["extracted_answer"]).most_common(1)
    return float(votes.filter(pl.col("extracted_answer") == chosen)["is_right"][0])


def figures(row: Mapping[str, Any], samples: int) -> dict[str, float]:
    """What is logged of a row of the accuracy table. `right` counts right completions, as a part of `samples` each."""
    name, rate = "/".join(str(row[part]) for part in ("benchmark", "subject") if row[part] is not None), row["rate"]
    numbers = {f"{row['measure']}/{name}": rate}
    if row["measure"] == "accuracy" and row["subject"] is None:
        total = row["problems"]
        right = round(rate * total * samples) / samples  # exactly: 7 / 1319 · 1319 is not 7
        numbers |= {f"low/{name}": row["low"], f"high/{name}": row["high"]}
        numbers |= {f"right/{name}": right, f"total/{name}": total}
    return numbers
