"""Credit by a tuned model: how much likelier than the policy it finds a token.

    R_t = log π_φ(y_t) − log π_ref(y_t)

With π_φ trained by DPO this is the token reward that DPO implies (Rafailov et al., arXiv 2404.12358), up to its β; with
π_φ from `models/objectives/implicit_reward.py` an implicit process reward (Yuan et al., arXiv 2412.01981).
"""

from collections.abc import Iterator

from tasks.credit import Request, TokenCredit
from tasks.credit._models import log_ratios
from tasks.parts import NoOptions

NEEDS = ("credit_model",)


def credit(options: NoOptions, request: Request) -> Iterator[TokenCredit]:
    """inputs: credit_model and policy (folders). Yields one TokenCredit a sample."""
    for row, ratios in enumerate(log_ratios(request, request.samples)):
        yield TokenCredit(row, ratios.tolist())
