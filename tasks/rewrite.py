"""Stage `rewrite`: the GRM rewrites every wrong sample; rewrites that the verifier accepts become imitation targets.

First it locates: which line is the first wrong one? The lines before that are forced as the start of the
rewrite, as the ids that were sampled; an answer that names no line forces nothing. Then it rewrites the rest.

A line located too late forces the mistake itself, so a rewrite that is rejected gets a second attempt, with
nothing forced. (On `tiny` one locate in eleven was too late, and of those rewrites 10 % were right.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, Field

from models import policy
from models.policy import Completion, Decoding, complete
from tasks.equations import every_equation_holds
from tasks.progress import Log, silent
from tasks.prompts import decode, end, grm_parts, line_spans, locate_prompt, parse_located_line, rewrite_prompt
from tasks.records import accepted_rewrites, mean, problems_of, table, wrong_ids, wrong_samples
from tasks.rewrites import Acceptance, rewrite_row
from tasks.work import ALONE, Span, Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

LOCATE_TOKENS = 8
TEXTS_AT_ONCE = 16_384


class RewriteOptions(BaseModel, extra="forbid", frozen=True):
    acceptance: Acceptance = Acceptance()
    with_reference: bool = Field(True, description="the GRM is shown the reference solution")
    second_attempt: bool = Field(True, description="try again with nothing forced where the first try is rejected")
    max_new_tokens: int = Field(512, gt=0, description="length limit of a rewrite, in tokens")
    batch_size: int = Field(64, gt=0, description="rewrites made at once")
    shard_size: int = Field(256, gt=0, description="wrong samples in a shard")
    device: str = "auto"


def rewrite(
    options: RewriteOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: reward_model (folder), samples, problems, teacher_rewrites, pairs. Writes rewrites.

    Logs the GRM's quality on pairs it was trained on, on pairs it never saw, and on wrong samples without a pair.
    Greedy decoding has no use for the seed.
    """
    make = partial(rewrite_shard, options, inputs)
    wrong = len(wrong_ids(inputs["samples"]))
    made = work.table(out / "rewrites.parquet", wrong, options.shard_size, make, "rewrite", log)
    frame = judged(made)
    log(
        {
            "wrong_samples": len(frame),
            "accepted": int(frame["reject_reason"].is_null().sum()),
            "unparsable_locates": int(frame["located_step"].is_null().sum()),
        }
    )
    teacher = accepted_rewrites(inputs["teacher_rewrites"], ["sample_id", "located_step"]).collect(engine="streaming")
    for group, numbers in quality(frame, teacher, pl.read_parquet(inputs["pairs"])):
        log({f"{name}/{group}": value for name, value in numbers.items()})


def rewrite_shard(options: RewriteOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """The GRM's rewrites of a span of the wrong samples."""
    model, tokenizer = policy.shared(inputs["reward_model"], policy.device(options.device))
    samples = wrong_samples(inputs["samples"], span)
    problems = problems_of(samples, inputs["problems"])
    given = [(sample, problems[sample["problem_id"]]) for sample in samples.iter_rows(named=True)]
    located = locate(model, tokenizer, given, options)
    rows = rewrite_from(model, tokenizer, given, located, options)
    return table("rewrites", sorted(rows, key=lambda row: str(row["sample_id"])))


Given = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def locate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, given: Given, options: RewriteOptions
) -> list[int | None]:
    """The line that the GRM takes for the first wrong one of each sample; None where its answer names none."""
    prompts = [
        locate_prompt(tokenizer, *grm_parts(problem, sample, options.with_reference)) for sample, problem in given
    ]
    located: list[int | None] = [None] * len(given)
    done = complete(model, prompts, end(tokenizer), Decoding(LOCATE_TOKENS), batch_size=options.batch_size)
    for answer in done:
        lines = len(line_spans(tokenizer, given[answer.row][0]["completion_ids"]))
        text = decode(tokenizer, answer.ids)
        located[answer.row] = parse_located_line(text, lines) if answer.ended else None
    return located


def forced_start(tokenizer: PreTrainedTokenizerBase, sample_ids: Sequence[int], line: int | None) -> list[int]:
    """The sample's own ids for the lines before `line`; nothing where no line was located."""
    if line is None or line == 1:
        return []
    return list(sample_ids[: line_spans(tokenizer, sample_ids)[line - 2][1]])


def rewrite_from(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    given: Given,
    located: Sequence[int | None],
    options: RewriteOptions,
) -> Iterator[dict[str, object]]:
    """Rewrite each sample from its located line on, and yield rows of the rewrites table."""
    starts = [
        forced_start(tokenizer, sample["completion_ids"], line)
        for (sample, _), line in zip(given, located, strict=True)
    ]
    again = []
    for place, row in attempt(model, tokenizer, given, located, starts, options):
        if options.second_attempt and row["reject_reason"] is not None and starts[place]:
            again.append(place)
        else:
            yield row
    chosen, lines = [given[place] for place in again], [located[place] for place in again]
    for _, row in attempt(model, tokenizer, chosen, lines, [[] for _ in again], options):
        yield row | {"attempts": 2}


def attempt(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    given: Given,
    located: Sequence[int | None],
    starts: Sequence[list[int]],
    options: RewriteOptions,
) -> Iterator[tuple[int, dict[str, object]]]:
    """Rewrite each sample after the start that is forced on it; yield its position and its row."""
    prompts = [
        [*rewrite_prompt(tokenizer, *grm_parts(problem, sample, options.with_reference)), *start]
        for (sample, problem), start in zip(given, starts, strict=True)
    ]
    decoding = Decoding(options.max_new_tokens)
    for done in complete(model, prompts, end(tokenizer), decoding, batch_size=options.batch_size):
        start, line = starts[done.row], located[done.row]
        yield done.row, row_of(tokenizer, done, *given[done.row], start, line, options.acceptance)


def row_of(
    tokenizer: PreTrainedTokenizerBase,
    done: Completion,
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    start: Sequence[int],
    located_step: int | None,
    acceptance: Acceptance,
) -> dict[str, object]:
    ids = [*start, *done.ids]
    return rewrite_row(
        sample,
        problem,
        ids,
        decode(tokenizer, ids),
        rewriter="grm",
        located_step=located_step,
        ended=done.ended,
        acceptance=acceptance,
    )


def judged(rewrites: pl.LazyFrame) -> pl.DataFrame:
    """What the figures need of each rewrite: everything but its ids and its text, and whether its equations hold."""
    own = rewrites.select(pl.exclude("rewrite_ids", "rewrite")).collect()
    texts = rewrites.select("rewrite")
    holds = [
        every_equation_holds(text)
        for first in range(0, len(own), TEXTS_AT_ONCE)
        for text in texts.slice(first, TEXTS_AT_ONCE).collect()["rewrite"]
    ]
    return own.with_columns(holds=pl.Series(holds, dtype=pl.Boolean))


def quality(
    rewrites: pl.DataFrame, teacher: pl.DataFrame, pairs: pl.DataFrame
) -> Iterator[tuple[str, dict[str, float]]]:
    """The GRM's quality apart for samples whose pair it was trained on, never saw, or that have no pair. rewrites: as
    `judged` gives them; teacher: accepted ones."""
    steps = teacher.select("sample_id", teacher_step="located_step")
    known = rewrites.join(pairs, on="sample_id", how="left", maintain_order="left").join(
        steps, on="sample_id", how="left", maintain_order="left"
    )
    groups = {
        "trained": pl.col("trained"),
        "unseen": ~pl.col("trained"),
        "unpaired": pl.col("trained").is_null(),
    }
    for group, chosen in groups.items():
        part = known.filter(chosen)
        if not len(part):
            continue
        numbers = {
            "pairs": float(len(part)),
            "rewrites_right": mean(part["is_right"]),
            "equations_hold": mean(part["holds"] & part["is_right"]),
        }
        if part["is_right"].any():
            numbers["edit_fraction"] = mean(part.filter("is_right")["edit_fraction"])
        if group != "unpaired":
            same = part["located_step"].eq_missing(part["teacher_step"])
            numbers["locating_accuracy"] = mean(same)
        yield group, numbers
