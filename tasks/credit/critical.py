"""Which tokens of a solution are critical: the contrast of a model of right samples with one of wrong samples.

    s_t = softmax(2 z_right − z_wrong)[y_t],  z the logits of either model after y_<t

A small s_t marks a token that the wrong samples' model likes and the right samples' does not. The contrastive
estimation of cDPO (Lin et al., arXiv 2411.19943). Log-probabilities serve as logits.

Worked example, two tokens: the right model gives (0.8, 0.2), the wrong one (0.5, 0.5). 2 log p − log p' is log(1.28)
and log(0.08): s = 1.28 / 1.36 = 0.941 for the first and 0.059 for the second.
"""

from collections.abc import Iterator

from models.logprobs import contrasted_probabilities
from tasks.credit import Request, TokenCredit
from tasks.credit._models import examples_of, model_of
from tasks.parts import NoOptions

NEEDS = ("right_model", "wrong_model")


def credit(options: NoOptions, request: Request) -> Iterator[TokenCredit]:
    """inputs: right_model and wrong_model (folders). Yields one TokenCredit a sample; its rewards are
    its probabilities."""
    right, wrong = (model_of(request, name)[0] for name in NEEDS)
    for row, likely in contrasted_probabilities(right, wrong, examples_of(request.samples), request.batch_size):
        yield TokenCredit(row, likely.tolist(), likely.tolist())
