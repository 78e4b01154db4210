"""Stage `teach`: a teacher rewrites a part of the wrong samples, changing as little as it can.

Only rewrites that the verifier accepts are kept for training; the others stay in the table with their reason.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, Field
from rapidfuzz.distance import Levenshtein
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tasks import teachers
from tasks.equations import every_equation_holds
from tasks.progress import Log, silent, track
from tasks.prompts import encode, without_eos
from tasks.records import by_id, read_table, table, write_table
from tasks.rewrites import Acceptance, first_changed_line, rewrite_row, spliced_ids
from tasks.verify import verdict


class TeachOptions(BaseModel, extra="forbid", frozen=True):
    teacher: str = Field("scripted", description="a file of tasks/teachers")
    samples: int | None = Field(None, gt=0, description="rewrite at most N wrong samples, the first by sample id")
    acceptance: Acceptance = Acceptance(true_equations=True)

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [f"tasks.teachers.{self.teacher}"]


def teach(options: TeachOptions, inputs: Mapping[str, Path], out: Path, *, seed: int = 0, log: Log = silent) -> None:
    """inputs: samples, problems, tokenizer (folder). Writes rewrites. The scripted teacher has no use for a seed."""
    tokenizer = AutoTokenizer.from_pretrained(inputs["tokenizer"], local_files_only=True)
    problems = by_id(read_table("problems", inputs["problems"]), "problem_id")
    wrong = read_table("samples", inputs["samples"]).filter(~pl.col("is_right"))
    # Ids are hashes, so the first by id are a fair draw that does not change when samples are added elsewhere.
    wrong = wrong.sort("sample_id")[: options.samples]
    rows = [
        taught(tokenizer, sample, problems[sample["problem_id"]], options)
        for sample in track(wrong.iter_rows(named=True), "teach", len(wrong), "samples")
    ]
    write_table(table("rewrites", rows), "rewrites", out / "rewrites.parquet")
    accepted = [row for row in rows if row["reject_reason"] is None]
    reasons = Counter(str(row["reject_reason"]) for row in rows if row["reject_reason"])
    log(
        {
            "wrong_samples": len(rows),
            "accepted": len(accepted),
            "accepted_share": len(accepted) / max(len(rows), 1),
            "edit_fraction": sum(float(str(row["edit_fraction"])) for row in accepted) / max(len(accepted), 1),
            **{f"rejected/{reason}": count for reason, count in reasons.items()},
        }
    )


def taught(
    tokenizer: PreTrainedTokenizerBase,
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    options: TeachOptions,
) -> dict[str, object]:
    """The teacher's best rewrite of one sample, as a row of the rewrites table."""
    task = teachers.Problem(problem["question"], problem["solution"], problem["answer"], problem["options"])
    ids = without_eos(tokenizer, sample["completion_ids"])
    teacher = teachers.get(options.teacher)
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
