"""Credit by the GRM, but each wrong sample's negative rewards are moved to tokens drawn at random: as many, as large.

A control for `right-negatives.toml`: what it gains over this, it gains because the GRM knows the place.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from tasks.credit import Request, TokenCredit, grm
from tasks.records import derive_seed

Options = grm.Options
NEEDS = grm.NEEDS


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """inputs: reward_model and policy (folders). Yields one TokenCredit a sample."""
    for one in grm.credit(options, request):
        sample, rewards = request.samples[one.row], list(one.rewards)
        if not sample["is_right"]:
            random.Random(derive_seed(0, "random places", sample["sample_id"])).shuffle(rewards)
        yield replace(one, rewards=rewards)
