"""Credit from an implicit process reward and the outcome (PRIME, Cui et al., arXiv 2502.01456).

    r_t = β (log π_φ − log π_ref),   π_φ from `models/objectives/implicit_reward.py`
    A_t = Σ_{s ≥ t} (r_s − b) + o − b_o

o is 1 in a right sample and 0 in a wrong one, b_o its mean over the problem's other samples, and b the mean over those
of each one's mean r: both baselines leave the sample itself out.

Worked example, two samples of a problem: "a b" is right with r = 0.3, 0.1 (mean 0.2), "c" is wrong with r = −0.4. For
the first b = −0.4 and b_o = 0: a earns 0.7 + 0.5 + 1 = 2.2 and b 0.5 + 1 = 1.5. For the second b = 0.2, b_o = 1: c
earns −0.6 − 1 = −1.6.
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


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """inputs: credit_model and policy (folders), samples (the whole table). Yields one TokenCredit a
    sample; a problem's only sample earns nothing."""
    everyone, members = groups(request, "prompt_ids", "completion_ids")
    rewards = [options.beta * ratios for ratios in log_ratios(request, everyone)]
    for row, member in enumerate(members):
        own, others = rewards[member.place], [other for other in member.group if other != member.place]
        if not others:
            yield TokenCredit(row, [0.0] * len(own))
            continue
        baseline = fmean(float(rewards[other].mean()) for other in others)
        gain = everyone[member.place]["outcome"] - fmean(everyone[other]["outcome"] for other in others)
        yield TokenCredit(row, (to_the_end(own - baseline) + gain).tolist())
