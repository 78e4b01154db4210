"""Stage `measure_credit`: does a credit source blame the tokens that made a sample wrong?

The truth is the teacher's: the tokens of a wrong sample that its accepted rewrite replaced or deleted, and the one
before which it inserted. Credit itself is measured here, without the noise of training a policy on it.

    auc_first_error   of telling the first wrong token from those before it
    auc_all           of telling every wrong token from all others; after the first error a model reads a wrong
                      prefix, so this says less
    hit_rate          how often the most blamed token is the first wrong one (of several most blamed, the share)
    precision, recall of the tokens with a negative reward

A token is blamed by how improbable the source finds it, or, where it has no probabilities, by its negative reward.
The samples are apart by what became of the reward model's own rewrite: right, wrong, or failed (without an answer).

Worked example: of a sample's tokens a b c d the teacher replaced b and d; the source gives 0.9, 0.2, 0.5, 0.6. b is
below a: auc_first_error 1. Wrong 0.2 and 0.6, others 0.9 and 0.5: three of four pairs in order, auc_all 0.75. b is the
most blamed: a hit.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy
import polars as pl
from pydantic import BaseModel

from tasks.errors import UserError
from tasks.progress import Log, silent
from tasks.records import among, read_table, scan_table
from tasks.work import ALONE, Work

FIGURES = ("auc_first_error", "auc_all", "hit_rate", "precision", "recall")
FAILED = ("no answer", "cut at the length limit")


def text_table(rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of credit_quality, each with its source, as the cells of a table below its heads; a dash where there was
    nothing to tell apart."""
    lines = [["source", "GRM's rewrite", "samples", *(name.replace("_", " ") for name in FIGURES)]]
    for row in rows:
        figures = ("–" if row[name] is None else f"{row[name]:.3f}" for name in FIGURES)
        lines.append([row["source"], row["group"], str(row["samples"]), *figures])
    return lines


class MeasureCreditOptions(BaseModel, extra="forbid", frozen=True):
    pass


def measure_credit(
    options: MeasureCreditOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int = 0,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: token_rewards, edits (of the teacher's rewrites), rewrites (of the reward model).

    Writes credit_quality: a row a group of samples, with `samples`, `tokens` and FIGURES, null where there is nothing
    to tell apart. UserError where no sample has a teacher's rewrite. Nothing here is random."""
    edits = read_table("edits", inputs["edits"], ["sample_id", "kinds", "source_positions"])
    scored = scan_table("token_rewards", inputs["token_rewards"], ["sample_id", "probabilities", "rewards"])
    scores = among(scored, edits, "sample_id")  # those of the samples that a teacher rewrote
    reason = pl.col("reject_reason")
    fate = pl.when(reason.is_null()).then(pl.lit("right")).when(reason.is_in(FAILED)).then(pl.lit("failed"))
    outcomes = read_table("rewrites", inputs["rewrites"], ["sample_id", "reject_reason"]).select(
        "sample_id", group=fate.otherwise(pl.lit("wrong"))
    )
    judged = edits.join(scores, on="sample_id", how="left", maintain_order="left").join(
        outcomes, on="sample_id", how="left", maintain_order="left"
    )
    if not len(judged):
        raise UserError(f"{inputs['edits']}: no wrong sample has an accepted rewrite, so there is no error to be found")
    rows = []
    for group in ("all", "right", "wrong", "failed"):
        part = judged if group == "all" else judged.filter(pl.col("group") == group)
        if len(part):
            found = [Blame(*row) for row in part.select("kinds", "source_positions", "probabilities", "rewards").rows()]
            figures = quality([one for one in found if one.wrong.any()])
            rows.append(
                {"group": group, "samples": len(part), "tokens": sum(len(one.blame) for one in found), **figures}
            )
            log({f"{name}/{group}": value for name, value in figures.items() if value is not None})
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(out / "credit_quality.parquet")


class Blame:
    """A sample's tokens: which are wrong, how much each is blamed, and which earn a negative reward, (n,) each."""

    def __init__(
        self, kinds: list[str], positions: list[int], probabilities: list[float] | None, rewards: list[float]
    ) -> None:
        self.wrong = numpy.zeros(len(rewards), dtype=bool)
        for kind, position in zip(kinds, positions, strict=True):
            # An insertion at the very end blames no token: nothing that the policy wrote is wrong.
            if kind != "insert" or position < len(rewards):
                self.wrong[position] = True
        self.blame = -numpy.asarray(rewards if probabilities is None else probabilities)
        self.negative = numpy.asarray(rewards) < 0

    @property
    def first(self) -> int:
        """The first wrong token."""
        return int(self.wrong.argmax())

    @property
    def hit(self) -> float:
        """1 where the first wrong token alone is blamed most, 1/k where it is among k, else 0."""
        most = self.blame == self.blame.max()
        return float(most[self.first] / most.sum())


def quality(samples: list[Blame]) -> dict[str, float | None]:
    """FIGURES over all tokens of some samples."""
    if not samples:
        return dict.fromkeys(FIGURES)
    wrong, blame, negative = (
        numpy.concatenate([getattr(sample, name) for sample in samples]) for name in ("wrong", "blame", "negative")
    )
    until = [(sample.wrong[: sample.first + 1], sample.blame[: sample.first + 1]) for sample in samples]
    both = int((wrong & negative).sum())
    return {
        "auc_first_error": auc(*(numpy.concatenate(parts) for parts in zip(*until, strict=True))),
        "auc_all": auc(wrong, blame),
        "hit_rate": float(numpy.mean([sample.hit for sample in samples])),
        "precision": both / int(negative.sum()) if negative.any() else None,
        "recall": both / int(wrong.sum()) if negative.any() else None,
    }


def auc(wrong: numpy.ndarray, blame: numpy.ndarray) -> float | None:
    """The chance that a wrong token is blamed more than another, ties counting a half: the area under the ROC curve
    (Mann-Whitney U). None where all tokens are of one kind."""
    from scipy.stats import rankdata

    positives, negatives = int(wrong.sum()), int((~wrong).sum())
    if not positives or not negatives:
        return None
    ranks = rankdata(blame)[wrong].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))
