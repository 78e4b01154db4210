"""Credit relative to the group: how much better a sample did than its problem's samples on average, for all its tokens.

    A = (r − mean) / (std + 1e-4),   r = 1 in a right sample, 0 in a wrong one; mean and std (n − 1) over the problem

GRPO's advantage under outcome supervision (Shao et al., DeepSeekMath, arXiv 2402.03300). A problem whose samples are
all right or all wrong gives no credit. The samples table holds no text of a problem twice, so what was sampled several
times counts once.
"""

from collections.abc import Iterator

from tasks.credit import Request, TokenCredit
from tasks.credit._groups import groups, scale
from tasks.parts import NoOptions

LEAST_SAMPLES = 2


def credit(options: NoOptions, request: Request) -> Iterator[TokenCredit]:
    """Yields one TokenCredit a sample; no model is loaded."""
    everyone, members = groups(request)
    for row, member in enumerate(members):
        mean, deviation = scale([everyone[other]["outcome"] for other in member.group])
        advantage = (everyone[member.place]["outcome"] - mean) / deviation
        yield TokenCredit(row, [advantage] * len(request.samples[row]["completion_ids"]))
