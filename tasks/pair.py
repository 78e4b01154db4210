"""Stage `pair`: each wrong sample with its accepted rewrite, how likely the reference policy finds both, and, where an
objective weighs their tokens, the credit of each.

For objectives that prefer one completion over another. Log-probabilities are fp32, full softmax, temperature 1.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field, model_validator

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks.credit import CreditOptions
from tasks.progress import Log, silent
from tasks.records import accepted_rewrites, count, problems_of, rewritten_samples, table
from tasks.work import ALONE, Span, Work

COLUMNS = ["problem_id", "prompt_ids", "completion_ids", "completion"]


class PairOptions(CreditOptions):
    shard_size: int = Field(1024, gt=0, description="pairs in a shard")
    device: str = "auto"

    @model_validator(mode="after")
    def credits_rewrites(self) -> "PairOptions":
        if self.least_samples > 1 or "edits" in self.needs:
            raise ValueError(
                f"credit source {self.credit} is about a problem's samples and says nothing of their rewrites: take "
                "one that reads any text, such as log_ratio, critical, contrast or surprisal"
            )
        return self

    @property
    def plain(self) -> "PairOptions":
        """These options without credit: for a model that is trained on pairs to give the credit."""
        return self.model_copy(update={"credit": None, "settings": {}})


def pair(
    options: PairOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), samples, rewrites, problems, and what the credit source needs. Writes pairs. Nothing
    here is random."""
    pairs = count(accepted_rewrites(inputs["rewrites"], ["sample_id"]))
    make = partial(pair_shard, options, inputs)
    work.table(out / "pairs.parquet", pairs, options.shard_size, make, "pair", log)
    log({"pairs": pairs})


def pair_shard(options: PairOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """A span of the pairs."""
    frame = rewritten_samples(inputs, COLUMNS, span)
    halves = [half for row in frame.iter_rows(named=True) for half in (sample_of(row), rewrite_of(row))]
    at = policy.device(options.device)
    rewards: list[list[float] | None] = [None] * len(halves)
    if options.credit:
        given = options.give(inputs, halves, problems_of(frame, inputs["problems"]), at)
        rewards = [one.rewards for one in given]
    model, _ = policy.shared(inputs["policy"], at)
    examples = [Example(half["prompt_ids"], half["completion_ids"]) for half in halves]
    logprobs = dict(completion_logprobs(model, examples, options.batch_size))
    rows: list[dict[str, object]] = [
        {
            "sample_id": sample_id,
            "sample_logprobs": logprobs[place].tolist(),
            "rewrite_logprobs": logprobs[place + 1].tolist(),
            "sample_rewards": rewards[place],
            "rewrite_rewards": rewards[place + 1],
        }
        for place, sample_id in zip(range(0, len(halves), 2), frame["sample_id"], strict=True)
    ]
    return table("pairs", rows)


def sample_of(pair: Mapping[str, Any]) -> dict[str, Any]:
    """A pair's wrong sample as a row of samples."""
    return {**{name: pair[name] for name in COLUMNS}, "is_right": False}


def rewrite_of(pair: Mapping[str, Any]) -> dict[str, Any]:
    """A pair's rewrite as if it were a sample of the problem."""
    return {**sample_of(pair), "completion_ids": pair["rewrite_ids"], "completion": pair["rewrite"], "is_right": True}
