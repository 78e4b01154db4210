"""Credit relative to the group as DCPO has it (Yang et al., arXiv 2509.02333): a problem's samples come in several
steps, and their advantage among those of the same step is blended with that among all so far.

    A_new   = (r − mean) / std over the step's samples,   A_total the same over those of all steps up to it
    B_new   = (i − 1)/i · A_new + 1/i · A_total,   B_total = 1/i · A_new + (i − 1)/i · A_total   in step i = 1, 2, …
    A       = the one of B_new and B_total that is smaller in size

A problem's samples, in the table's order, are dealt to the steps in equal parts. In one step A is that of `group`,
whose mean and std these are.

Worked example, four samples in two steps: right, wrong | right, right. The first step: A_new = A_total = ±0.5 / 0.707 =
±0.707. The second: all alike, so A_new = 0; among all four the mean is 0.75 and std 0.5, A_total = 0.5. i = 2, so both
blends are 0.25: the two right samples earn 0.25 where `group` by steps would give them nothing.
"""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, Field

from tasks.credit import Request, TokenCredit
from tasks.credit._groups import groups, scale

LEAST_SAMPLES = 2


class Options(BaseModel, extra="forbid", frozen=True):
    steps: int = Field(2, ge=1, description="steps that a problem's samples are dealt to")


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """Yields one TokenCredit a sample; no model is loaded."""
    everyone, members = groups(request)
    for row, member in enumerate(members):
        outcomes = [everyone[other]["outcome"] for other in member.group]
        advantage = smoothed(outcomes, options.steps)[member.group.index(member.place)]
        yield TokenCredit(row, [advantage] * len(request.samples[row]["completion_ids"]))


def smoothed(outcomes: Sequence[float], steps: int) -> list[float]:
    """The advantages of one problem's samples, in order."""
    size = -(-len(outcomes) // steps)
    advantages = []
    for place, outcome in enumerate(outcomes):
        number = place // size + 1
        first, end = (number - 1) * size, number * size
        (mean, deviation), (mean_so_far, deviation_so_far) = scale(outcomes[first:end]), scale(outcomes[:end])
        new, total = (outcome - mean) / deviation, (outcome - mean_so_far) / deviation_so_far
        blends = (((number - 1) * new + total) / number, (new + (number - 1) * total) / number)
        advantages.append(min(blends, key=abs))
    return advantages
