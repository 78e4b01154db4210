"""Credit by the generative reward model: the probability that it would have written the sample's own token.

    p_t = p_GRM(y_t | rewrite prompt(q, r, y), y_<t)        (RLMEC, arXiv 2401.06081, equation 3)

The prompt is the one the GRM was trained to rewrite with, and nothing is forced as the answer's start. A GRM trained
with the reference solution left out of a part of its prompts gives credit on problems that have none.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, Field

from models.batch import Example
from models.deferred import torch
from models.logprobs import completion_logprobs
from models.reward import token_rewards
from tasks.credit import Request, TokenCredit
from tasks.credit._models import model_of
from tasks.prompts import grm_parts, rewrite_prompt

NEEDS = ("reward_model",)


class Options(BaseModel, extra="forbid", frozen=True):
    beta: float = Field(0.5, ge=0, le=1, description="β, the probability at which a token earns nothing")
    ceiling: float = Field(0.5, ge=0, description="largest reward, of a right sample's token")
    floor: float = Field(-0.1, le=0, description="smallest reward, of a wrong sample's token")
    with_reference: bool = Field(True, description="the prompt holds the reference solution")
    after_first_error: bool = Field(
        True, description="false: in a wrong sample, tokens after the first of negative reward get none"
    )


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """inputs: reward_model and policy (folders). Yields one TokenCredit a sample."""
    model, tokenizer = model_of(request, "reward_model")
    examples = []
    for sample in request.samples:
        parts = grm_parts(request.problems[sample["problem_id"]], sample, options.with_reference)
        examples.append(Example(rewrite_prompt(tokenizer, *parts), sample["completion_ids"]))
    for row, logprobs in completion_logprobs(model, examples, request.batch_size):
        yield rewarded(options, row, logprobs, request.samples[row]["is_right"])


def rewarded(options: Options, row: int, logprobs: torch.Tensor, is_right: bool) -> TokenCredit:
    """The credit that a sample's token probabilities give; logprobs: (n,)."""
    probabilities = logprobs.exp().clamp(max=1.0)
    rewards = token_rewards(probabilities, is_right, options.beta, options.ceiling, options.floor)
    if not options.after_first_error:
        errors = rewards < 0
        rewards = rewards.masked_fill(errors.cumsum(0) - errors.int() > 0, 0.0)
    return TokenCredit(row, rewards.tolist(), probabilities.tolist())
