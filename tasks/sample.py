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
from tasks.records import join_tables, read_table, stable_id, table
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
    path = out / "samples.parquet"
    with work.parts("samples", len(problems), options.shard_size, make, "sample", log) as parts:
        join_tables("samples", parts, path, distinct)
        log(figures(pl.scan_parquet(parts), pl.scan_parquet(path)))


def distinct(samples: pl.LazyFrame) -> pl.LazyFrame:
    """The first of each text; all completions of a problem are in the same shard."""
    return samples.unique(["problem_id", "completion"], keep="first", maintain_order=True)


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


def figures(every: pl.LazyFrame, kept: pl.LazyFrame) -> dict[str, float]:
    """What the stage logs: accuracy over all completions, and what is left without repetitions."""
    is_right, lengths = pl.col("is_right"), pl.col("completion_ids").list.len()
    of_all = every.select(
        completions=pl.len(),
        right_share=is_right.mean().fill_null(0.0),
        truncated_share=(pl.col("finish_reason") == "length").mean().fill_null(0.0),
        completion_tokens_mean=lengths.mean().fill_null(0.0),
        ids_from_text=pl.col("ids_from_text").sum(),
    )
    left = kept.select(samples=pl.len(), samples_right=is_right.sum(), samples_wrong=(~is_right).sum())
    return {
        name: value
        for found in (of_all, left)
        for name, value in found.collect(engine="streaming").row(0, named=True).items()
    }
