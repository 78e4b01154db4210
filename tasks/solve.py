"""A policy solves problems: prompts, completions and verdicts. Sampling, evaluation and the warm-up's stopping
rule all come through here, so they all use the same prompt and the same verifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.policy import Decoding, complete
from tasks.prompts import decode, solve_prompt
from tasks.verify import verdict

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Solution:
    """One completion of the problem at position `row` of those given."""

    row: int
    prompt_ids: list[int]
    completion_ids: list[int]
    completion: str
    ended: bool
    extracted_answer: str | None
    is_right: bool


def solve(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Mapping[str, Any]],
    decoding: Decoding,
    batch_size: int,
    seeds: Sequence[int] | None = None,
) -> Iterator[Solution]:
    """Complete each problem once and judge it; solutions come in batches of similar length, not in order.

    problems: rows of the problems table (one may appear several times). seeds: one a row, for sampling.
    """
    prompts = [solve_prompt(tokenizer, problem["question"], problem["options"]) for problem in problems]
    for done in complete(model, prompts, tokenizer.eos_token_id, decoding, seeds, batch_size):
        text = decode(tokenizer, done.ids)
        judged = verdict(text, problems[done.row])
        yield Solution(
            done.row, prompts[done.row], done.ids, text, done.ended, judged.extracted_answer, judged.is_right
        )


def accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Mapping[str, Any]],
    decoding: Decoding,
    batch_size: int,
) -> float:
    """The share of problems that the policy solves, one completion each."""
    solutions = solve(model, tokenizer, problems, decoding, batch_size)
    return sum(solution.is_right for solution in solutions) / len(problems)
