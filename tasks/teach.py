"""Stage `teach`: a teacher rewrites a part of the wrong samples, changing as little as it can.

Only rewrites that the verifier accepts are kept for training; the others stay in the table with their reason.
What a teacher has answered is remembered beyond the stage, in `work.lasting`: it may have cost money.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, Field, ValidationInfo, field_validator
from rapidfuzz.distance import Levenshtein

from models import policy
from tasks import parts, teachers
from tasks.equations import every_equation_holds
from tasks.progress import Log, silent
from tasks.prompts import decode, encode, line_spans, without_eos
from tasks.records import mean, problems_of, table, wrong_ids, wrong_samples
from tasks.rewrites import Acceptance, first_changed_line, rewrite_row, spliced_ids
from tasks.verify import verdict
from tasks.work import ALONE, Span, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEACHERS = "tasks.teachers"


class TeachOptions(BaseModel, extra="forbid", frozen=True):
    teacher: str = Field("scripted", description="a file of tasks/teachers or a path")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="the teacher's own options", validate_default=True
    )
    samples: int | None = Field(None, gt=0, description="rewrite at most N wrong samples, the first by sample id")
    acceptance: Acceptance = Acceptance(true_equations=True)
    shard_size: int = Field(256, gt=0, description="wrong samples in a shard")

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [parts.module_name(TEACHERS, self.teacher)]

    def files(self) -> list[str]:
        """The files outside the store that the teacher reads."""
        read = getattr(source(self.teacher), "files", None)
        return list(read(self.own)) if read else []

    @property
    def unkeyed(self) -> dict[str, Any]:
        """The settings that change no answer, as pydantic's `exclude`."""
        return parts.unkeyed(TEACHERS, self.teacher, "teacher")

    @property
    def own(self) -> Any:
        """The settings as the teacher's own class."""
        return parts.options(TEACHERS, self.teacher, self.settings, "teacher")

    @field_validator("settings")
    @classmethod
    def with_defaults(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """The settings with their defaults, so that equal ones have equal keys."""
        return parts.with_defaults(TEACHERS, info.data.get("teacher"), given, "teacher")


def source(name: str) -> ModuleType:
    """The module of a teacher."""
    return parts.get(TEACHERS, name, "teacher")


def teach(
    options: TeachOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: samples, problems, tokenizer (folder). Writes rewrites. No teacher has a use for the seed: a rewrite
    depends on what is asked alone. Also logs what the teacher's answers cost, where they may cost something."""
    wrong = wrong_ids(inputs["samples"])[: options.samples]
    with book_of(options, work.lasting, log) as book:
        make = partial(teach_shard, options, inputs, book)
        made = work.table(out / "rewrites.parquet", len(wrong), options.shard_size, make, "teach", log)
    frame = made.select("edit_fraction", "reject_reason").collect()
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


def book_of(options: TeachOptions, folder: Path | None, log: Log) -> AbstractContextManager[Any]:
    """What the shards of this run share, where the teacher has such a thing."""
    opened = getattr(source(options.teacher), "opened", None)
    return opened(folder, options.own, log) if opened else nullcontext()


def teach_shard(options: TeachOptions, inputs: Mapping[str, Path], book: Any, span: Span) -> pl.DataFrame:
    """The teacher's rewrites of a span of the wrong samples."""
    tokenizer = policy.shared_tokenizer(inputs["tokenizer"])
    samples = wrong_samples(inputs["samples"], span)
    problems = problems_of(samples, inputs["problems"])
    pairs = [(sample, problems[sample["problem_id"]]) for sample in samples.iter_rows(named=True)]
    teacher = source(options.teacher)
    if hasattr(teacher, "rewrites"):
        given = [given_of(tokenizer, sample, problem, options) for sample, problem in pairs]
        return table("rewrites", teacher.rewrites(options.own, given, book))
    return table("rewrites", [taught(tokenizer, sample, problem, options) for sample, problem in pairs])


def given_of(
    tokenizer: PreTrainedTokenizerBase,
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    options: TeachOptions,
) -> teachers.Given:
    """A sample for a teacher that is a language model."""
    ids = sample["completion_ids"]
    lines = [decode(tokenizer, ids[first:end]) for first, end in line_spans(tokenizer, ids)]

    def judge(text: str, located: int | None, ended: bool) -> dict[str, Any]:
        return judged(tokenizer, sample, problem, text, located, ended, options)

    return teachers.Given(task_of(problem), lines, judge, options.acceptance.max_edit_fraction)


def task_of(problem: Mapping[str, Any]) -> teachers.Problem:
    return teachers.Problem(problem["question"], problem["solution"], problem["answer"], problem["options"])


def taught(
    tokenizer: PreTrainedTokenizerBase,
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    options: TeachOptions,
) -> dict[str, object]:
    """The teacher's best rewrite of one sample, as a row of the rewrites table."""
    task = task_of(problem)
    ids = without_eos(tokenizer, sample["completion_ids"])
    text = teachers.best_rewrite(
        source(options.teacher).candidates(task, sample["completion"]),
        task,
        sample["completion"],
        accept=lambda text: verdict(text, problem).is_right and every_equation_holds(text),
        distance=lambda _, text: Levenshtein.distance(ids, encode(tokenizer, text)),
    )
    rewrite = text if text is not None else ""
    located = first_changed_line(sample["completion"], rewrite) if rewrite else None
    row = judged(tokenizer, sample, problem, rewrite, located, True, options)
    return row if text is not None else row | {"reject_reason": "no acceptable candidate"}


def judged(
    tokenizer: PreTrainedTokenizerBase,
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    text: str,
    located: int | None,
    ended: bool,
    options: TeachOptions,
) -> dict[str, Any]:
    """A rewrite given as text, as a row of the rewrites table."""
    return rewrite_row(
        sample,
        problem,
        spliced_ids(tokenizer, sample["completion_ids"], text),
        text,
        rewriter=parts.short(options.teacher),
        located_step=located,
        ended=ended,
        acceptance=options.acceptance,
    )
