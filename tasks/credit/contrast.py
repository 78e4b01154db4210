"""Credit by the policy's own contrast: how much likelier a token is where the prompt asks for a right solution than
where it asks for a wrong one.

    R_t = σ(log π_ref(y_t | "right", q, y_<t) − log π_ref(y_t | "wrong", q, y_<t)) − 0.5,  in −0.5..0.5

The token rewards of T-REG (Zhou et al., arXiv 2412.02685). The prompts are those of recipe coh, so a policy that never
saw them says little.
"""

from __future__ import annotations

from collections.abc import Iterator

from models import policy
from models.batch import Example
from models.deferred import torch
from tasks.credit import Request, TokenCredit
from tasks.credit._models import logprobs_of
from tasks.parts import NoOptions
from tasks.prompts import solve_prompt


def credit(options: NoOptions, request: Request) -> Iterator[TokenCredit]:
    """inputs: policy (folder). Yields one TokenCredit a sample."""
    _, tokenizer = policy.shared(request.inputs["policy"], request.at)

    def asked_for(verdict: bool) -> list[torch.Tensor]:
        examples = []
        for sample in request.samples:
            problem = request.problems[sample["problem_id"]]
            prompt = solve_prompt(tokenizer, problem["question"], problem["options"], verdict)
            examples.append(Example(prompt, sample["completion_ids"]))
        return logprobs_of(request, "policy", examples)

    for row, (right, wrong) in enumerate(zip(asked_for(True), asked_for(False), strict=True)):
        yield TokenCredit(row, ((right - wrong).sigmoid() - 0.5).tolist())
