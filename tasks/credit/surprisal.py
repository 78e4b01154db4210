"""Credit by the policy itself: a token's own probability in the place of the GRM's. A control for recipe rlmec.

p_t = π_ref(y_t | prompt, y_<t), and R_t from it as in `grm`
"""

from collections.abc import Iterator

from tasks.credit import Request, TokenCredit, grm
from tasks.credit._models import examples_of, logprobs_of

Options = grm.Options


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """inputs: policy (folder). Yields one TokenCredit a sample."""
    for row, logprobs in enumerate(logprobs_of(request, "policy", examples_of(request.samples))):
        yield grm.rewarded(options, row, logprobs, request.samples[row]["is_right"])
