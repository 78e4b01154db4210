"""Stage `teach`: a teacher rewrites a part of the wrong samples, changing as little as it can.

Only rewrites that the verifier accepts are kept for training; the others stay in the table with their reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, Field
from rapidfuzz.distance import Levenshtein

from models import policy
from tasks import parts, teachers
from tasks.equations import every_equation_holds
from tasks.progress import Log, silent
from tasks.prompts import encode, without_eos
from tasks.records import mean, problems_of, table, write_table, wrong_samples
from tasks.rewrites import Acceptance, first_changed_line, rewrite_row, spliced_ids
from tasks.verify import verdict
from tasks.work import ALONE, Span, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TeachOptions(BaseModel, extra="forbid", frozen=True):
    teacher: str = Field("scripted", description="a file of tasks/teachers")
    samples: int | None = Field(None, gt=0, description="rewrite at most N wrong samples, the first by sample id")
    acceptance: Acceptance = Acceptance(true_equations=True)
    shard_size: int = Field(256, gt=0, description="wrong samples in a shard")

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [f"tasks.teachers.{self.teacher}"]


def teach(
    options: TeachOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: samples, problems, tokenizer (folder). Writes rewrites. The scripted teacher has no use for a seed."""
    wrong = wrong_samples(inputs["samples"])[: options.samples]
    make = partial(teach_shard, options, inputs)
    frame = work.table("rewrites", len(wrong), options.shard_size, make, "teach", log)
    write_table(frame, "rewrites", out / "rewrites.parquet")
    accepted = frame.filter(pl.col("reject_reason").is_null())
    reasons = Counter(frame["reject_reason"].drop_nulls())
    log(
        {
            "wrong_samples": len(frame),
            "accepted": len(accepted),
            "accepted_share": len(accepted) / max(len(frame), 1),
            "edit_fraction": mean(accepted["edit_fraction"]),
            **{f"rejected/{reason}": count for reason, count in reasons.items()},
        }
    )


def teach_shard(options: TeachOptions, inputs: Mapping[str, Path], span: Span) -> pl.DataFrame:
    """The teacher's rewrites of a span of the wrong samples."""
    tokenizer = policy.load_tokenizer(inputs["tokenizer"])
    samples = wrong_samples(inputs["samples"])[span.first : span.end]
    problems = problems_of(samples, inputs["problems"])
    rows = [
        taught(tokenizer, sample, problems[sample["problem_id"]], options) for sample in samples.iter_rows(named=True)
    ]
    return table("rewrites", rows)


def taught(
    tokenizer: PreTrainedTokenizerBase,
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    options: TeachOptions,
) -> dict[str, object]:
    """The teacher's best rewrite of one sample, as a row of the rewrites table."""
    task = teachers.Problem(problem["question"], problem["solution"], problem["answer"], problem["options"])
    ids = without_eos(tokenizer, sample["completion_ids"])
    teacher = parts.get("tasks.teachers", options.teacher, "teacher")
    text = teachers.best_rewrite(
        teacher.candidates(task, sample["completion"]),
        task,
        sample["completion"],
        accept=lambda text: verdict(text, problem).is_right and every_equation_holds(text),
        distance=lambda _, text: Levenshtein.distance(ids, encode(tokenizer, text)),
    )
    rewrite = text if text is not None else ""
    row = rewrite_row(
        sample,
        problem,
        spliced_ids(tokenizer, sample["completion_ids"], rewrite),
        rewrite,
        rewriter=options.teacher,
        located_step=first_changed_line(sample["completion"], rewrite) if rewrite else None,
        ended=True,
        acceptance=options.acceptance,
    )
    return row if text is not None else row | {"reject_reason": "no acceptable candidate"}
