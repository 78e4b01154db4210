"""A rewrite of a wrong sample, whoever wrote it: how it is judged under the minimum-edit constraint.

The teacher's rewrites (stage `teach`) and the GRM's (stage `rewrite`) pass the same acceptance:

    the final answer is right; every equation holds, if asked for; at most the given share of tokens is edited
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from rapidfuzz.distance import Levenshtein

from tasks.equations import every_equation_holds
from tasks.prompts import decode, encode, end, line_spans
from tasks.verify import verdict

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Acceptance(BaseModel, extra="forbid", frozen=True):
    """Which rewrites are kept."""

    max_edit_fraction: float = Field(1.0, gt=0, le=1, description="most tokens edited, of the longer text's")
    true_equations: bool = Field(False, description="also ask that every equation in the rewrite holds")


def rewrite_row(
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    rewrite_ids: Sequence[int],
    rewrite: str,
    *,
    rewriter: str,
    located_step: int | None,
    ended: bool,
    acceptance: Acceptance,
) -> dict[str, object]:
    """A row of the rewrites table, with a reject_reason unless the rewrite is accepted."""
    judged = verdict(rewrite, problem)
    distance = Levenshtein.distance(sample["completion_ids"], rewrite_ids)
    fraction = distance / max(len(sample["completion_ids"]), len(rewrite_ids), 1)
    reason = None
    if not ended:
        reason = "cut at the length limit"
    elif not judged.is_right:
        reason = "wrong answer" if judged.extracted_answer is not None else "no answer"
    elif fraction > acceptance.max_edit_fraction:
        reason = "too many edits"
    elif acceptance.true_equations and not every_equation_holds(rewrite):
        reason = "false equation"
    return {
        "sample_id": sample["sample_id"],
        "rewriter": rewriter,
        "located_step": located_step,
        "rewrite_ids": list(rewrite_ids),
        "rewrite": rewrite,
        "extracted_answer": judged.extracted_answer,
        "is_right": judged.is_right,
        "edit_distance": distance,
        "edit_fraction": fraction,
        "attempts": 1,
        "reject_reason": reason,
    }


def spliced_ids(tokenizer: PreTrainedTokenizerBase, sample_ids: Sequence[int], rewrite: str) -> list[int]:
    """Token ids of a rewrite given as text: its unchanged lines keep the sample's own ids. It ends as completions do.

    A policy may have sampled a word in pieces that its tokenizer would not choose; tokenising such a line again
    would show edits where there are none.
    """
    spans = line_spans(tokenizer, sample_ids)
    sampled = [list(sample_ids[first:end]) for first, end in spans]
    texts = [decode(tokenizer, ids) for ids in sampled]
    lines = rewrite.splitlines(keepends=True)
    ids = [encode(tokenizer, line) for line in lines]
    for block in SequenceMatcher(None, texts, lines, autojunk=False).get_matching_blocks():
        ids[block.b : block.b + block.size] = sampled[block.a : block.a + block.size]
    return [*(token for line in ids for token in line), end(tokenizer)]


def first_changed_line(sample: str, rewrite: str) -> int:
    """The 1-based line of the sample at which a rewrite first departs from it."""
    before, after = lines_of(sample), lines_of(rewrite)
    for number, (old, new) in enumerate(zip(before, after, strict=False), start=1):
        if old != new:
            return number
    return min(len(before), len(after) + 1)


def lines_of(text: str) -> list[str]:
    """The lines that the locate prompt numbers: blank ones belong to the line before them."""
    return [line for line in text.splitlines() if line.strip()]
