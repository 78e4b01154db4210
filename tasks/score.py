"""Stage `score`: a reward for every token of every sample, and its log-probability under the reference policy.

The reference policy is the one that produced the samples. Log-probabilities are fp32, full softmax, temperature 1.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl
from pydantic import Field

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks import parts
from tasks.credit import CreditOptions
from tasks.progress import Log, silent
from tasks.records import problems_of, read_table, table
from tasks.work import ALONE, Span, Work


class ScoreOptions(CreditOptions):
    credit: str = Field(
        "grm",  # type: ignore[assignment]  # here one is always needed
        description="the credit source, a file of tasks/credit or a path",
    )
    shard_size: int = Field(1024, gt=0, description="samples in a shard")
    device: str = "auto"

    @property
    def plain(self) -> "ScoreOptions":
        """These options with credit by the outcome alone: for a model that learns from samples and reads no credit."""
        return ScoreOptions(
            credit="outcome", batch_size=self.batch_size, shard_size=self.shard_size, device=self.device
        )


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
    scores = work.table(out / "token_rewards.parquet", len(is_right), options.shard_size, make, "score", log)
    log(figures(scores, is_right))


def score_shard(options: ScoreOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """The token rewards and reference log-probabilities of a span of samples."""
    at = policy.device(options.device)
    frame = read_table("samples", inputs["samples"], rows=span)
    samples = list(frame.iter_rows(named=True))
    problems = problems_of(frame, inputs["problems"])
    credits = options.give(inputs, samples, problems, at)
    model, _ = policy.shared(inputs["policy"], at)
    examples = [Example(sample["prompt_ids"], sample["completion_ids"]) for sample in samples]
    reference = dict(completion_logprobs(model, examples, options.batch_size))
    rows: list[dict[str, object]] = [
        {
            "sample_id": sample["sample_id"],
            "credit_source": parts.short(options.credit),
            "probabilities": credits[row].probabilities,
            "rewards": credits[row].rewards,
            "reference_logprobs": reference[row].tolist(),
        }
        for row, sample in enumerate(samples)
    ]
    return table("token_rewards", rows)


def figures(scores: pl.LazyFrame, is_right: pl.Series) -> dict[str, float]:
    """What the stage logs: over all tokens the share of negative rewards, and apart for right and wrong samples."""
    each = pl.element()
    found = scores.select(
        tokens=pl.col("rewards").list.len(),
        **{
            name: pl.col("rewards").list.eval(value.cast(pl.Float64)).list.sum()
            for name, value in (("negative", each < 0), ("nonzero", each != 0), ("reward", each))
        },
    ).collect(engine="streaming")  # four numbers a sample, not its tokens
    numbers = {"samples": float(len(found)), "negative_token_share": share(found, "negative")}
    for name, chosen in (("right", is_right), ("wrong", ~is_right)):
        group = found.filter(chosen)
        if group["tokens"].sum():
            numbers |= {f"reward_mean/{name}": share(group, "reward"), f"nonzero_share/{name}": share(group, "nonzero")}
    return numbers


def share(found: pl.DataFrame, name: str) -> float:
    """A sum by the number of tokens, 0 where there are none."""
    return float(found[name].sum() / max(int(found["tokens"].sum()), 1))
