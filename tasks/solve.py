"""A policy solves problems: prompts, completions and verdicts. Sampling, evaluation and the warm-up's stopping
rule all come through here, so they all use the same prompt and the same verifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import policy
from models.policy import Completion, Decoding, complete
from tasks import parts
from tasks.prompts import check_tokenizer, decode, end, solve_prompt
from tasks.records import derive_seed, read_table
from tasks.verify import verdict as judge
from tasks.work import Span

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SAMPLERS = "tasks.samplers"


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
    ids_from_text: bool = False


def solve(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Mapping[str, Any]],
    decoding: Decoding,
    batch_size: int,
    seeds: Sequence[int] | None = None,
    verdict: bool | None = None,
) -> Iterator[Solution]:
    """Complete each problem once and judge it; solutions come in batches of similar length, not in order.

    problems: rows of the problems table (one may appear several times). seeds: one a row, for sampling. verdict:
    what the prompt asks for, a right or a wrong solution, where the policy was trained so.
    """
    prompts = prompts_of(tokenizer, problems, verdict)
    done = complete(model, prompts, end(tokenizer), decoding, seeds, batch_size)
    return judged(tokenizer, problems, prompts, done)


def prompts_of(
    tokenizer: PreTrainedTokenizerBase, problems: Sequence[Mapping[str, Any]], verdict: bool | None
) -> list[list[int]]:
    """The prompt of each problem."""
    return [solve_prompt(tokenizer, problem["question"], problem["options"], verdict) for problem in problems]


def judged(
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Mapping[str, Any]],
    prompts: Sequence[list[int]],
    completions: Iterable[Completion],
) -> Iterator[Solution]:
    """Completions of the problems' prompts with the verifier's verdicts."""
    for done in completions:
        text = decode(tokenizer, done.ids)
        found = judge(text, problems[done.row])
        answer, is_right = found.extracted_answer, found.is_right
        yield Solution(done.row, prompts[done.row], done.ids, text, done.ended, answer, is_right, done.ids_from_text)


def solve_span(
    inputs: Mapping[str, Path],
    span: Span,
    times: int,
    decoding: Decoding,
    batch_size: int,
    device: str,
    seed: int,
    verdict: bool | None = None,
    sampler: str = "hf",
    settings: Mapping[str, Any] | None = None,
) -> list[tuple[Mapping[str, Any], Solution]]:
    """Each problem of a span completed `times` times, in order: (problem, solution), the completions of a problem one
    after the other. inputs: policy (folder), problems (table). Each completion has a seed of its own. sampler: a file
    of tasks/samplers, with its settings."""
    tokenizer = policy.shared_tokenizer(inputs["policy"])
    check_tokenizer(tokenizer)
    problems = list(read_table("problems", inputs["problems"], rows=span).iter_rows(named=True))
    repeated = [problem for problem in problems for _ in range(times)]
    seeds = [derive_seed(seed, problem["problem_id"], number) for problem in problems for number in range(times)]
    own = parts.options(SAMPLERS, sampler, settings or {}, "sampler")
    prompts = prompts_of(tokenizer, repeated, verdict)
    drawing = parts.get(SAMPLERS, sampler, "sampler")
    done = drawing.completions(own, inputs["policy"], tokenizer, prompts, decoding, seeds, batch_size, device)
    solutions = judged(tokenizer, repeated, prompts, done)
    return [(repeated[made.row], made) for made in sorted(solutions, key=lambda made: made.row)]


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
