"""Credit from a DPO model and the outcome (reinforced token optimisation, RTO, Zhong et al., arXiv 2404.18922).

    r_t = clamp(β (log π_dpo − log π_ref), −limit, limit),  plus the outcome (1 or 0) at the sample's last token
    A_t = r_t + r_{t+1} + … + r_n − b,   b the mean of r_1 + … + r_n over the problem's samples

RTO gives r_t to PPO, whose value model turns it into advantages; here the mean over the problem's samples stands for
the value model. The KL penalty that is also in RTO's reward depends on the policy in training: see the setting kl of
`models/objectives/policy_gradient.py`.

Worked example, two samples of a problem, limit 0.05: "a b" is right with r = 0.02, 1 − 0.05 = 0.95, "c" is wrong with
r = −0.03. The sums are 0.97 and −0.03, b = 0.47: a earns 0.97 − 0.47 = 0.5, b 0.95 − 0.47 = 0.48, c −0.5.
"""

from collections.abc import Iterator
from statistics import fmean

from pydantic import BaseModel, Field

from tasks.credit import Request, TokenCredit
from tasks.credit._groups import groups
from tasks.credit._models import log_ratios, to_the_end

NEEDS = ("credit_model",)
LEAST_SAMPLES = 2


class Options(BaseModel, extra="forbid", frozen=True):
    beta: float = Field(0.05, gt=0, description="what a nat of log-ratio earns")
    limit: float = Field(0.05, gt=0, description="what a token's log-ratio earns or costs at most")


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """inputs: credit_model and policy (folders), samples (the whole table). Yields one TokenCredit a
    sample."""
    everyone, members = groups(request, "prompt_ids", "completion_ids")
    returns = []
    for sample, ratios in zip(everyone, log_ratios(request, everyone), strict=True):
        rewards = (options.beta * ratios).clamp(-options.limit, options.limit)
        rewards[-1] += sample["outcome"]
        returns.append(to_the_end(rewards))
    for row, member in enumerate(members):
        baseline = fmean(float(returns[other][0]) for other in member.group)
        yield TokenCredit(row, (returns[member.place] - baseline).tolist())
