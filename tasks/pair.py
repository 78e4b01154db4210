"""Stage `pair`: each wrong sample with its accepted rewrite, and how likely the reference policy finds both.

For objectives that prefer one completion over another. Log-probabilities are fp32, full softmax, temperature 1.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import polars as pl
from pydantic import BaseModel, Field

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks.progress import Log, silent
from tasks.records import rewritten_samples, table, write_table
from tasks.work import ALONE, Span, Work


class PairOptions(BaseModel, extra="forbid", frozen=True):
    batch_size: int = Field(16, gt=0, description="sequences read at once")
    shard_size: int = Field(1024, gt=0, description="pairs in a shard")
    device: str = "auto"


def pair(
    options: PairOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), samples, rewrites. Writes pairs. Nothing here is random."""
    count = len(rewritten_samples(inputs, ["prompt_ids", "completion_ids"]))
    frame = work.table("pairs", count, options.shard_size, partial(pair_shard, options, inputs), "pair", log)
    write_table(frame, "pairs", out / "pairs.parquet")
    log({"pairs": count})


def pair_shard(options: PairOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """A span of the pairs."""
    pairs = rewritten_samples(inputs, ["prompt_ids", "completion_ids"])[span.first : span.end].to_dicts()
    model, _ = policy.shared(inputs["policy"], policy.device(options.device))
    examples = [Example(row["prompt_ids"], row[ids]) for row in pairs for ids in ("completion_ids", "rewrite_ids")]
    logprobs = dict(completion_logprobs(model, examples, options.batch_size))
    rows: list[dict[str, object]] = [
        {
            "sample_id": row["sample_id"],
            "sample_logprobs": logprobs[2 * number].tolist(),
            "rewrite_logprobs": logprobs[2 * number + 1].tolist(),
        }
        for number, row in enumerate(pairs)
    ]
    return table("pairs", rows)
