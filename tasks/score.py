"""Stage `score`: a reward for every token of every sample, and its log-probability under the reference policy.

The reference policy is the one that produced the samples. Log-probabilities are fp32, full softmax, temperature 1.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks import parts
from tasks.progress import Log, silent
from tasks.records import mean, problems_of, read_table, table, write_table
from tasks.work import ALONE, Span, Work


class ScoreOptions(BaseModel, extra="forbid", frozen=True):
    credit: str = Field("grm", description="the credit source, a file of tasks/credit or a path")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="the credit source's own options", validate_default=True
    )
    batch_size: int = Field(16, gt=0, description="samples scored at once")
    shard_size: int = Field(1024, gt=0, description="samples in a shard")
    device: str = "auto"

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [parts.module_name("tasks.credit", self.credit)]

    @field_validator("settings")
    @classmethod
    def with_defaults(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """The settings with their defaults, so that equal ones have equal keys."""
        if "credit" not in info.data:  # itself refused, which is reported
            return given
        full: dict[str, Any] = parts.settings(source(info.data["credit"]).Options, given, "settings").model_dump()
        return full

    @property
    def needs(self) -> tuple[str, ...]:
        """What the credit source reads besides samples and problems."""
        return tuple(source(self.credit).NEEDS)

    @property
    def least_samples(self) -> int:
        """How many samples of a problem the credit source compares at least."""
        return int(getattr(source(self.credit), "LEAST_SAMPLES", 1))


def source(name: str) -> ModuleType:
    """The module of a credit source."""
    return parts.get("tasks.credit", name, "credit source")


def score(
    options: ScoreOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), samples, problems, and what the credit source needs.

    Writes token_rewards. Nothing here is random."""
    is_right = read_table("samples", inputs["samples"], ["is_right"])["is_right"]
    make = partial(score_shard, options, inputs)
    scores = work.table("token_rewards", len(is_right), options.shard_size, make, "score", log)
    write_table(scores, "token_rewards", out / "token_rewards.parquet")
    log(figures(scores, is_right))


def score_shard(options: ScoreOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """The token rewards and reference log-probabilities of a span of samples."""
    at = policy.device(options.device)
    frame = read_table("samples", inputs["samples"], rows=span)
    samples = list(frame.iter_rows(named=True))
    problems = problems_of(frame, inputs["problems"])
    module = source(options.credit)
    own = parts.settings(module.Options, options.settings, "settings")
    credits = module.credit(own, inputs, samples, problems, options.batch_size, at)
    by_row = {done.row: done for done in credits}
    model, _ = policy.shared(inputs["policy"], at)
    examples = [Example(sample["prompt_ids"], sample["completion_ids"]) for sample in samples]
    reference = dict(completion_logprobs(model, examples, options.batch_size))
    rows: list[dict[str, object]] = [
        {
            "sample_id": sample["sample_id"],
            "credit_source": parts.short(options.credit),
            "probabilities": by_row[row].probabilities,
            "rewards": by_row[row].rewards,
            "reference_logprobs": reference[row].tolist(),
        }
        for row, sample in enumerate(samples)
    ]
    return table("token_rewards", rows)


def figures(scores: pl.DataFrame, is_right: pl.Series) -> dict[str, float]:
    """Reward means for right and wrong samples, and the share of tokens with a negative reward."""
    tokens = scores.select("rewards").with_columns(is_right=is_right).explode("rewards")
    rewards = tokens["rewards"]
    numbers = {"samples": float(len(scores)), "negative_token_share": mean(rewards < 0)}
    for name, chosen in (("right", tokens["is_right"]), ("wrong", ~tokens["is_right"])):
        group = rewards.filter(chosen)
        if len(group):
            numbers |= {f"reward_mean/{name}": mean(group), f"nonzero_share/{name}": mean(group != 0)}
    return numbers
