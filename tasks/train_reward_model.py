"""Stage `train_reward_model`: the GRM learns from the teacher's rewrites, on three generative tasks.

    locate    the wrong sample → the number of its first wrong line
    rewrite   the wrong sample → the teacher's rewrite
    copy      a right sample → itself, at most one for each rewrite pair

Some problems are held out, with all their pairs, so that the GRM's quality on pairs it never saw can be told
from its quality on those it did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, Field

from models import policy
from models.batch import Example
from models.loop import Optimisation
from models.lora import Lora, adapted, merged
from tasks.errors import NothingToLearnError
from tasks.fit import IMITATION, History, Made, batches, fit, imitated
from tasks.progress import Log, silent
from tasks.prompts import (
    check_same_tokens,
    check_tokenizer,
    grm_parts,
    locate_completion,
    locate_prompt,
    rewrite_prompt,
)
from tasks.records import ById, accepted_rewrites, among, derive_seed, read_table, scan_table
from tasks.work import ALONE, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


ASKED = ("problem_id", "question", "options", "solution")
SAMPLE = ("sample_id", "problem_id", "completion_ids")


class TrainRewardModelOptions(BaseModel, extra="forbid", frozen=True):
    updates: int | None = Field(None, gt=0, description="optimiser updates; if unset, `epochs` decides")
    epochs: float = Field(3.0, gt=0, description="passes over the examples of all three tasks")
    batch_size: int = Field(128, gt=0, description="examples in one update")
    unseen_share: float = Field(0.1, ge=0, lt=1, description="share of problems held out to judge the GRM by")
    locate_weight: float = Field(
        1.0, gt=0, description="weight of a locate token: a locate answer has two tokens, a rewrite dozens"
    )
    without_reference: float = Field(
        0.0, ge=0, le=1, description="share of samples whose prompts leave the reference solution out"
    )
    copies: float = Field(1.0, ge=0, le=1, description="copy pairs for each rewrite pair")
    optimisation: Optimisation = Optimisation(learning_rate=2e-5)
    lora: Lora | None = Field(None, description="train low-rank adapters, say { rank = 16 }, rather than all weights")
    device: str = "auto"


def train_reward_model(
    options: TrainRewardModelOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder; the GRM starts from its weights), samples, problems, rewrites; tokenizer (folder)
    where the samples were drawn by another policy than that.

    Writes model and pairs (sample_id, trained). Raises UserError where no rewrite is left to train on.
    """
    model, tokenizer = policy.load(inputs["policy"], policy.device(options.device))
    check_tokenizer(tokenizer)
    if "tokenizer" in inputs:
        check_same_tokens(tokenizer, policy.load_tokenizer(inputs["tokenizer"]), "the reward model")
    problems = ById(read_table("problems", inputs["problems"], list(ASKED)), "problem_id")
    pairs = accepted_pairs(inputs, options.unseen_share)
    trained = pairs.filter("trained")
    if not len(trained):
        raise NothingToLearnError(
            "no teacher rewrite was accepted, so the reward model has nothing to learn from: look at reject_reason "
            "in the rewrites table of stage teach, and sample more problems (sample.problems) if there are few"
        )
    right = right_samples(inputs["samples"], round(options.copies * len(trained)), options.unseen_share)

    def example(number: int) -> Example:
        """Those that locate come first, then the rewrites, then the copies."""
        is_copy, place = number >= 2 * len(trained), number % len(trained)
        row = right.row(number - 2 * len(trained), named=True) if is_copy else trained.row(place, named=True)
        parts = parts_of(row, problems, options)
        if number < len(trained):
            return locate_example(tokenizer, row, parts, options.locate_weight)
        return rewrite_example(tokenizer, row["completion_ids" if is_copy else "rewrite_ids"], parts)

    examples = Made(2 * len(trained) + len(right), example)
    updates = options.updates or max(1, round(options.epochs * len(examples) / options.batch_size))
    steps = batches(examples, options.batch_size, derive_seed(seed, "order"))
    history = History(log)
    model = adapted(model, options.lora, derive_seed(seed, "lora"))
    for _ in fit(model, steps, updates, IMITATION, options.optimisation, "train_reward_model", history, work,
                 seed, longest=max(examples, key=len)):  # fmt: skip
        pass
    policy.save(merged(model, out / "model" / "adapter"), tokenizer, out / "model")
    pairs.select("sample_id", "trained").write_parquet(out / "pairs.parquet")
    log({"pairs_trained": len(trained), "pairs_unseen": len(pairs) - len(trained), "copies": len(right)})


def accepted_pairs(inputs: Mapping[str, Path], unseen_share: float) -> pl.DataFrame:
    """Accepted rewrites beside their samples, with `trained` false for the problems held out (by their id)."""
    columns = ["sample_id", "located_step", "rewrite_ids"]
    rewrites = accepted_rewrites(inputs["rewrites"], columns).collect(engine="streaming")
    samples = among(scan_table("samples", inputs["samples"], list(SAMPLE)), rewrites, "sample_id")
    pairs = rewrites.join(samples, on="sample_id", how="inner", maintain_order="left")
    return pairs.with_columns(trained=place_of_problem() >= unseen_share)


def right_samples(samples: Path, most: int, unseen_share: float) -> pl.DataFrame:
    """The first right samples of problems that are not held out, in the order of their ids."""
    columns = ["sample_id", "problem_id", "is_right"]
    right = scan_table("samples", samples, columns).filter("is_right").select("sample_id", "problem_id")
    seen = right.collect(engine="streaming").filter(place_of_problem() >= unseen_share)
    chosen = seen.select("sample_id").sort("sample_id").head(most)
    return among(scan_table("samples", samples, list(SAMPLE)), chosen, "sample_id").sort("sample_id")


def place_of_problem() -> pl.Expr:
    """`held_out_place` of each row's problem: those below `unseen_share` are held out."""
    return pl.col("problem_id").map_elements(held_out_place, return_dtype=pl.Float64)


def held_out_place(problem_id: str) -> float:
    """A number in [0, 1) that depends on the problem's id alone."""
    return derive_seed(0, "held out", problem_id) / 2**63


Parts = tuple[str, list[str] | None, str | None, list[int]]


def parts_of(sample: Mapping[str, Any], problems: Mapping[str, Any], options: TrainRewardModelOptions) -> Parts:
    """What a sample's prompts are made of, with the reference solution or, by the sample's id, without."""
    place = derive_seed(0, "without reference", sample["sample_id"]) / 2**63
    return grm_parts(problems[sample["problem_id"]], sample, with_reference=place >= options.without_reference)


def locate_example(tokenizer: PreTrainedTokenizerBase, pair: Mapping[str, Any], parts: Parts, weight: float) -> Example:
    """The pair's first wrong line."""
    return imitated(locate_prompt(tokenizer, *parts), locate_completion(tokenizer, pair["located_step"]), weight)


def rewrite_example(tokenizer: PreTrainedTokenizerBase, rewrite: Sequence[int], parts: Parts) -> Example:
    """The rewrite of a sample."""
    return imitated(rewrite_prompt(tokenizer, *parts), list(rewrite))
