"""Credit on half of the problems: on those that the GRM was trained on, or on those that it was not.

Where stage train_reward_model holds out half of the problems (`train_reward_model.unseen_share=0.5`), recipes
`right-trained` and `right-unseen` say what it is worth that the GRM knows a sample's problem, and `right-unreferenced`
what it is worth where there is no reference solution at all, neither in training nor in the prompt.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from tasks.credit import Request, TokenCredit, grm, outcome
from tasks.train_reward_model import held_out_place

NEEDS = grm.NEEDS
SHARE = 0.5


class Options(grm.Options):
    half: Literal["trained", "unseen"]
    places: Literal["blamed", "all"] = "blamed"  # all: every token of a wrong sample earns `floor`, and no GRM is asked


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """inputs: reward_model and policy (folders). Yields one TokenCredit a sample."""
    whole = outcome.Options(right=0.0, wrong=options.floor)
    for one in grm.credit(options, request) if options.places == "blamed" else outcome.credit(whole, request):
        is_unseen = held_out_place(request.samples[one.row]["problem_id"]) < SHARE
        counts = is_unseen == (options.half == "unseen")
        yield one if counts else replace(one, rewards=[0.0] * len(one.rewards))
