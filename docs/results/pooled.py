"""Draws again what an earlier round drew, and only the rest from the policy: rounds with pooled data.

Of a problem's K completions the first are the `earlier` ones, as many as there are, and at most `each`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel
from transformers import PreTrainedTokenizerBase

from models.policy import Completion, Decoding
from tasks.samplers import hf


class Options(BaseModel, extra="forbid", frozen=True):
    earlier: Path  # the samples table of the round before
    each: int  # completions of a problem that may come from it


def completions(
    options: Options,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    seeds: Sequence[int],
    batch_size: int,
    device: str,
) -> Iterator[Completion]:
    """Complete each prompt."""
    table = pl.read_parquet(options.earlier, columns=["prompt_ids", "completion_ids", "finish_reason"])
    drawn = defaultdict(list)
    for prompt, ids, reason in table.iter_rows():
        if len(drawn[tuple(prompt)]) < options.each:
            drawn[tuple(prompt)].append((ids, reason == "stop"))
    fresh = []
    for row, prompt in enumerate(prompts):
        if left := drawn[tuple(prompt)]:
            ids, ended = left.pop(0)
            yield Completion(row, list(ids), ended)
        else:
            fresh.append(row)
    rest = ([prompts[row] for row in fresh], decoding, [seeds[row] for row in fresh], batch_size, device)
    for made in hf.completions(hf.Options(), folder, tokenizer, *rest):
        yield Completion(fresh[made.row], made.ids, made.ended)
