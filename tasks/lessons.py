"""What each sample teaches the policy, under a recipe that learns from samples.

    the sample            token rewards; imitated where the recipe imitates right (or wrong) samples; or the tokens that
                          its rewrite replaced or deleted are pushed away
    its accepted rewrite  imitated, edited tokens with weight 1 and the others with 0.5; preferred over the sample
    its problem's reference solution, imitated with weight 1

Tables say so, and they stay tables: examples are made of a row when a batch draws it, so that a million samples
fit into memory. A wrong sample without a rewrite keeps its rewards; a sample that teaches nothing is not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from models.batch import Example
from tasks.errors import NothingToLearnError, UserError
from tasks.prompts import line_spans, solution_completion, solve_prompt
from tasks.records import ById, read_table

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tasks.train_policy import TrainPolicyOptions

Found = Mapping[str, dict[str, Any] | None]
SAMPLE = ("sample_id", "problem_id", "prompt_ids", "completion_ids", "is_right")
BESIDE = {
    "token_rewards": ("rewards", "reference_logprobs"),
    "rewrites": ("rewrite_ids",),
    "edits": ("sample_edited", "rewrite_edited"),
    "pairs": ("sample_logprobs", "rewrite_logprobs", "sample_rewards", "rewrite_rewards"),
}


class Beside:
    """A table about samples, at most a row each: `beside[7]` is its row for sample 7 as a dict, or None."""

    def __init__(self, samples: pl.DataFrame, name: str, path: Path, columns: Sequence[str]) -> None:
        self.columns = columns
        frame = read_table(name, path, ["sample_id", *columns])
        numbered = frame.select("sample_id").with_row_index("place")
        joined = samples.select("sample_id").join(numbered, on="sample_id", how="left", maintain_order="left")
        self.places, self.frame = joined["place"], frame.select(columns)

    def __getitem__(self, row: int) -> dict[str, Any] | None:
        place = self.places[row]
        return None if place is None else dict(zip(self.columns, self.frame.row(place), strict=True))


class Lessons:
    """`right` and `wrong` are the rows of either kind that teach anything, but for `unimitated`: wrong ones that bring
    token rewards alone, where others bring something to imitate. `rewritten` counts the wrong samples whose rewrite is
    imitated, `paired` the pairs."""

    def __init__(
        self, options: TrainPolicyOptions, inputs: Mapping[str, Path], tokenizer: PreTrainedTokenizerBase
    ) -> None:
        """inputs: samples, problems, and those of `options.tables`. UserError for a sample without token rewards, and
        where pairs are wanted and there is none."""
        self.options, self.tokenizer = options, tokenizer
        self.samples = samples = read_table("samples", inputs["samples"], list(SAMPLE))
        self.groups = samples["problem_id"].rank("dense").cast(pl.Int64) - 1
        self.problems = ById(read_table("problems", inputs["problems"]), "problem_id") if options.reads_problems else {}
        self.beside = {
            name: Beside(samples, name, inputs[name], columns)
            for name, columns in BESIDE.items()
            if name in options.tables
        }
        has = {name: table.places.is_not_null() for name, table in self.beside.items()}
        if "token_rewards" in has and not has["token_rewards"].all():
            unscored = samples["sample_id"].filter(~has["token_rewards"])[0]
            raise UserError(f"{inputs['token_rewards']}: sample {unscored} has no token rewards; rerun stage score")
        if "pairs" in has and not has["pairs"].any():
            raise NothingToLearnError(f"{inputs['pairs']}: no rewrite was accepted, so there is no pair to learn from")
        is_right = samples["is_right"]
        self.rewritten, self.paired = (int(has[name].sum()) if name in has else 0 for name in ("edits", "pairs"))
        imitated = [verdict for kind, verdict in (("right", True), ("wrong", False)) if kind in options.imitate]
        imitates = is_right.is_in(imitated) | ("references" in options.imitate)
        for name in has.keys() & {"edits", "pairs"}:
            imitates |= has[name]
        teaches = imitates | has.get("token_rewards", imitates)
        self.right = (teaches & is_right).arg_true().to_list()
        self.wrong = (imitates & ~is_right).arg_true().to_list()
        self.unimitated = (teaches & ~imitates & ~is_right).arg_true().to_list()
        if not self.wrong:
            self.wrong, self.unimitated = self.unimitated, []

    def longest(self) -> Example:
        """The longest example to come, but for reference solutions, whose length is not known yet."""
        ids = pl.col("completion_ids").list.len().alias("length")
        lengths = self.samples.select(pl.col("prompt_ids").list.len() + ids).to_series()
        if rewrites := self.beside.get("rewrites"):
            own = self.samples["completion_ids"].list.len()
            other = rewrites.frame["rewrite_ids"].list.len().gather(rewrites.places).fill_null(0)
            lengths = lengths - own + pl.select(pl.max_horizontal(own, other)).to_series()
        row = max((*self.right, *self.wrong, *self.unimitated), key=lengths.to_list().__getitem__)
        return max(self.examples(row), key=len)

    def examples(self, row: int) -> list[Example]:
        """The sequences that a sample brings into a batch: itself, its accepted rewrite, its problem's reference."""
        sample = dict(zip(SAMPLE, self.samples.row(row), strict=True))
        found = {name: table[row] for name, table in self.beside.items()}
        made = (self.sample(row, sample, found), self.rewrite(row, sample, found), self.reference(row, sample))
        return [example for example in made if example is not None]

    def sample(self, row: int, sample: Mapping[str, Any], found: Found) -> Example | None:
        """The sample, where it has rewards, is imitated, is half of a pair or has tokens to be pushed away."""
        ids, is_right = sample["completion_ids"], sample["is_right"]
        edits, scored, options = found.get("edits"), found.get("token_rewards"), self.options
        scores, reference = {}, None
        if ("right" if is_right else "wrong") in options.imitate:
            scores["weight"] = [options.kept_weight] * len(ids)
        if edits and options.rejected_weight:
            scores["weight"] = [options.rejected_weight if is_edited else 0.0 for is_edited in edits["sample_edited"]]
        if pair := found.get("pairs"):
            reference = pair["sample_logprobs"]
            scores |= {"reward": pair["sample_rewards"]} if pair["sample_rewards"] else {}
        if scored:
            reference = scored["reference_logprobs"]
            if not (edits and options.rewarded == "unrewritten"):
                scores["reward"] = scored["rewards"]
        if not scores and not pair:
            return None
        prompt = self.prompt(sample, is_right)
        number = row if pair else None
        return Example(prompt, ids, scores, reference, self.steps(ids), None, self.groups[row], True, is_right, number)

    def rewrite(self, row: int, sample: Mapping[str, Any], found: Found) -> Example | None:
        """The accepted rewrite, where it is imitated or is half of a pair."""
        edits, pair, rewrite = (found.get(name) for name in ("edits", "pairs", "rewrites"))
        if not rewrite or not (edits or pair):
            return None
        ids, edited, scores = rewrite["rewrite_ids"], None, {}
        if edits:
            edited = edits["rewrite_edited"]
            kept, new = self.options.kept_weight, self.options.edited_weight
            scores["weight"] = [new if is_edited else kept for is_edited in edited]
        reference, number = (pair["rewrite_logprobs"], row) if pair else (None, None)
        if pair and pair["rewrite_rewards"]:
            scores["reward"] = pair["rewrite_rewards"]
        prompt = self.prompt(sample, True)
        return Example(prompt, ids, scores, reference, self.steps(ids), edited, self.groups[row], False, True, number)

    def reference(self, row: int, sample: Mapping[str, Any]) -> Example | None:
        """The reference solution, where it is imitated."""
        if "references" not in self.options.imitate:
            return None
        ids = solution_completion(self.tokenizer, self.problems[sample["problem_id"]]["solution"])
        scores = {"weight": [1.0] * len(ids)}
        return Example(self.prompt(sample, True), ids, scores, None, self.steps(ids), None, self.groups[row])

    def prompt(self, sample: Mapping[str, Any], is_right: bool) -> list[int]:
        """The prompt that the sample was drawn from, or one that says whether what follows is right."""
        if self.options.prompt == "plain":
            return list(sample["prompt_ids"])
        problem = self.problems[sample["problem_id"]]
        return solve_prompt(self.tokenizer, problem["question"], problem["options"], is_right)

    def steps(self, ids: Sequence[int]) -> list[int]:
        """The line that each token stands in, from 0; EOS stands in the last one."""
        spans = line_spans(self.tokenizer, ids)
        lines = [step for step, (first, end) in enumerate(spans) for _ in range(first, end)]
        return lines + [max(len(spans) - 1, 0)] * (len(ids) - len(lines))
