"""What each sample teaches the policy, under a recipe that learns from samples.

    right sample   rewards R_t, and it imitates itself with weight 0.5
    wrong sample   rewards R_t; its accepted rewrite, if there is one, is imitated with weight 1 on edited
                   tokens and 0.5 on the others. A wrong sample without a rewrite keeps its rewards.

Four tables say so, and they stay tables: examples are made of a row when a batch draws it, so that a million
samples fit into memory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from models.batch import Example
from tasks.errors import UserError
from tasks.records import read_table


class Weights(NamedTuple):
    """Imitation weights of a rewrite's edited tokens, and of other tokens and right samples; None imitates nothing."""

    edited: float
    kept: float


class Lessons:
    """`right` and `wrong` are the rows of either kind; `rewritten` says how many wrong samples have a rewrite."""

    def __init__(self, inputs: Mapping[str, Path], weights: Weights | None) -> None:
        """inputs: samples, token_rewards, rewrites, edits. UserError for a sample without token rewards."""
        self.weights = weights
        ids = ["sample_id"]
        samples = read_table("samples", inputs["samples"], [*ids, "prompt_ids", "completion_ids", "is_right"])
        scores = read_table("token_rewards", inputs["token_rewards"], [*ids, "rewards", "reference_logprobs"])
        rewrites = read_table("rewrites", inputs["rewrites"], [*ids, "rewrite_ids"])
        edits = read_table("edits", inputs["edits"], [*ids, "rewrite_edited"])
        self.samples, self.scores, self.rewrites, self.edits = samples, scores, rewrites, edits
        self.score_of = places(samples, scores)
        self.edit_of = places(samples, edits)
        self.rewrite_of = places(samples, rewrites)
        unscored = samples["sample_id"].filter(self.score_of.is_null())
        if len(unscored):
            raise UserError(f"{inputs['token_rewards']}: sample {unscored[0]} has no token rewards; rerun stage score")
        is_right = samples["is_right"]
        self.right = is_right.arg_true().to_list()
        self.wrong = (~is_right).arg_true().to_list()
        self.rewritten = int((self.edit_of.is_not_null() & ~is_right).sum()) if weights else 0

    def examples(self, row: int) -> list[Example]:
        """The sequences that a sample brings into a batch: itself, and its rewrite where one was accepted."""
        prompt, completion, is_right = self.samples.row(row)[1:]
        _, rewards, reference_logprobs = self.scores.row(self.score_of[row])
        weights = [self.weights.kept] * len(completion) if is_right and self.weights else None
        sample = Example(prompt, completion, rewards, reference_logprobs, weights)
        return [sample, *self.imitated(row, prompt)]

    def imitated(self, row: int, prompt: list[int]) -> list[Example]:
        """The accepted rewrite of a sample, after the prompt that the sample was drawn from."""
        if self.weights is None or self.edit_of[row] is None:
            return []
        edited = self.edits.row(self.edit_of[row])[1]
        weights = [self.weights.edited if is_edited else self.weights.kept for is_edited in edited]
        return [Example(prompt, self.rewrites.row(self.rewrite_of[row])[1], weights=weights)]


def places(samples: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    """For each sample, the row of another table that is about it; null where there is none."""
    numbered = other.select("sample_id").with_row_index("place")
    return samples.select("sample_id").join(numbered, on="sample_id", how="left", maintain_order="left")["place"]
