"""Credit by the policy's own contrast: how much likelier a token is where the prompt asks for a right solution than
where it asks for a wrong one.

    R_t = σ(log π_ref(y_t | "right", q, y_<t) − log π_ref(y_t | "wrong", q, y_<t)) − 0.5,  in −0.5..0.5

The token rewards of T-REG (Zhou et al., arXiv 2412.02685). The prompts are those of recipe coh, so a policy that never
saw them says little.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from models import policy
from models.batch import Example
from tasks.credit import TokenCredit
from tasks.credit._ratios import logprobs_of
from tasks.prompts import solve_prompt

NEEDS = ()


class Options(BaseModel, extra="forbid", frozen=True):
    pass


def credit(
    options: Options,
    inputs: Mapping[str, Path],
    samples: Sequence[Mapping[str, Any]],
    problems: Mapping[str, Mapping[str, Any]],
    batch_size: int,
    at: torch.device,
) -> Iterator[TokenCredit]:
    """inputs: policy (folder). samples: rows; problems: by id. Yields one TokenCredit a sample."""
    _, tokenizer = policy.shared(inputs["policy"], at)

    def asked_for(verdict: bool) -> list[torch.Tensor]:
        examples = []
        for sample in samples:
            problem = problems[sample["problem_id"]]
            prompt = solve_prompt(tokenizer, problem["question"], problem["options"], verdict)
            examples.append(Example(prompt, sample["completion_ids"]))
        return logprobs_of(inputs["policy"], examples, batch_size, at)

    for row, (right, wrong) in enumerate(zip(asked_for(True), asked_for(False), strict=True)):
        yield TokenCredit(row, ((right - wrong).sigmoid() - 0.5).tolist())
