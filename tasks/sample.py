"""Stage `sample`: K completions of the policy for each training problem, each judged right or wrong.

Two samples of a problem with the same text would be taught, rewritten and trained on twice, so only the first
is kept; the same text for two problems is two samples.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from models.policy import Decoding
from tasks import parts
from tasks.progress import Log, silent
from tasks.records import mean, read_table, stable_id, table, write_table
from tasks.solve import SAMPLERS, Solution, solve_span
from tasks.work import ALONE, Span, Work


class SampleOptions(BaseModel, extra="forbid", frozen=True):
    problems: int | None = Field(None, gt=0, description="sample for the first N training problems; all if unset")
    samples_per_problem: int = Field(5, gt=0, description="K, completions of each problem")
    sampler: str = Field("hf", description="what draws them, a file of tasks/samplers or a path")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="the sampler's own options", validate_default=True
    )
    temperature: float = Field(0.7, ge=0, description="0 is greedy, the same completion each time")
    top_p: float = Field(0.95, gt=0, le=1)
    max_new_tokens: int = Field(512, gt=0, description="length limit of a completion, in tokens")
    batch_size: int = Field(64, gt=0, description="completions made at once")
    shard_size: int = Field(128, gt=0, description="problems in a shard")
    device: str = Field("auto", description='"auto", "cpu", "cuda" or another torch device')

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [parts.module_name(SAMPLERS, self.sampler)]

    @property
    def unkeyed(self) -> dict[str, Any]:
        """The settings that change no completion, as pydantic's `exclude`."""
        return parts.unkeyed(SAMPLERS, self.sampler, "sampler")

    @field_validator("settings")
    @classmethod
    def with_defaults(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """The settings with their defaults, so that equal ones have equal keys."""
        return parts.with_defaults(SAMPLERS, info.data.get("sampler"), given, "sampler")


def sample(
    options: SampleOptions, inputs: Mapping[str, Path], out: Path, *, seed: int, log: Log = silent, work: Work = ALONE
) -> None:
    """inputs: policy (folder), problems (table). Writes samples."""
    problems = read_table("problems", inputs["problems"], ["problem_id"])[: options.problems]
    make = partial(sample_shard, options, inputs, seed)
    frame = work.table("samples", len(problems), options.shard_size, make, "sample", log)
    kept = frame.unique(["problem_id", "completion"], keep="first", maintain_order=True)
    write_table(kept, "samples", out / "samples.parquet")
    log(figures(frame, kept))


def sample_shard(options: SampleOptions, inputs: Mapping[str, Path], seed: int, span: Span) -> pl.DataFrame:
    """All completions of a span of problems."""
    decoding = Decoding(options.max_new_tokens, options.temperature, options.top_p)
    made = solve_span(
        inputs,
        span,
        options.samples_per_problem,
        decoding,
        options.batch_size,
        options.device,
        seed,
        sampler=options.sampler,
        settings=options.settings,
    )
    return table("samples", [sample_row(problem["problem_id"], solution) for problem, solution in made])


def sample_row(problem_id: str, solution: Solution) -> dict[str, object]:
    """A row of the samples table; its id depends on the problem and the token ids alone."""
    return {
        "sample_id": stable_id(problem_id, solution.completion_ids),
        "problem_id": problem_id,
        "prompt_ids": solution.prompt_ids,
        "completion_ids": solution.completion_ids,
        "completion": solution.completion,
        "finish_reason": "stop" if solution.ended else "length",
        "extracted_answer": solution.extracted_answer,
        "is_right": solution.is_right,
        "ids_from_text": solution.ids_from_text,
    }


def figures(frame: pl.DataFrame, kept: pl.DataFrame) -> dict[str, float]:
    """What the stage logs: accuracy over all completions, and what is left without repetitions."""
    lengths = frame["completion_ids"].list.len()
    return {
        "completions": len(frame),
        "right_share": mean(frame["is_right"]),
        "truncated_share": mean(frame["finish_reason"] == "length"),
        "completion_tokens_mean": mean(lengths),
        "ids_from_text": int(frame["ids_from_text"].sum()),
        "samples": len(kept),
        "samples_right": int(kept["is_right"].sum()),
        "samples_wrong": int((~kept["is_right"]).sum()),
    }
