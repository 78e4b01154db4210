"""Credit by the generative reward model: the probability that it would have written the sample's own token.

    p_t = p_GRM(y_t | rewrite prompt(q, r, y), y_<t)        (RLMEC, arXiv 2401.06081, equation 3)

The prompt is the one the GRM was trained to rewrite with, and nothing is forced as the answer's start.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from models.reward import token_rewards
from tasks.credit import TokenCredit
from tasks.prompts import check_same_tokens, grm_parts, rewrite_prompt

NEEDS = ("reward_model",)


class Options(BaseModel, extra="forbid", frozen=True):
    beta: float = Field(0.5, ge=0, le=1, description="β, the probability at which a token earns nothing")
    ceiling: float = Field(0.5, ge=0, description="largest reward, of a right sample's token")
    floor: float = Field(-0.1, le=0, description="smallest reward, of a wrong sample's token")


def credit(
    options: Options,
    inputs: Mapping[str, Path],
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    at: torch.device,
) -> Iterator[TokenCredit]:
    """inputs: reward_model, policy (folders). samples: rows; problems: by id. Yields one TokenCredit a sample."""
    model, tokenizer = policy.shared(inputs["reward_model"], at)
    check_same_tokens(tokenizer, policy.shared(inputs["policy"], at)[1], "the reward model")
    examples = [
        Example(rewrite_prompt(tokenizer, *grm_parts(problems[sample["problem_id"]], sample)), sample["completion_ids"])
        for sample in samples
    ]
    for row, logprobs in completion_logprobs(model, examples, batch_size):
        probabilities = logprobs.exp().clamp(max=1.0)
        rewards = token_rewards(probabilities, samples[row]["is_right"], options.beta, options.ceiling, options.floor)
        yield TokenCredit(row, rewards.tolist(), probabilities.tolist())
