"""DCPO's bounds on cases worked by hand."""

import math

import pytest
import torch

from models.batch import Example, collate
from models.objectives import policy_gradient
from models.objectives.dcpo import Objective

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("sampling", "low", "high"),
    [
        (0.9, 0.7688, 1.1872),  # (1 + √(1 − 0.64/0.9)) / 2 and (1 + √(1 + 0.8/0.9)) / 2
        (0.5, 0.5, 1.3062),  # 0.64 / 0.5 > 1, so the root is 0; (1 + √2.6) / 2
        (0.01, 0.5, 5.0),  # (1 + √81) / 2
        (0.001, 0.5, 10.0),  # (1 + √801) / 2 = 14.7, held at 10
    ],
)
def test_what_was_unlikely_may_change_by_more(sampling, low, high):
    batch = collate([Example([1], [2], {"reward": [1.0]}, [math.log(sampling)], is_sample=True)], CPU)
    found = [float(bound[0, 1]) for bound in Objective().bounds(batch)]
    assert found == pytest.approx([low, high], rel=1e-3)


@pytest.mark.parametrize(("reward", "ratio", "loss"), [(1.0, 6.0, -5.0), (1.0, 4.0, -4.0), (-1.0, 0.25, 0.5)])
def test_the_ratio_counts_up_to_its_own_tokens_bound(reward, ratio, loss):
    """q = 0.01: the ratio counts from 0.5 to 5. GRPO would hold all three at 1.2 or 0.8."""
    batch = collate([Example([1], [2], {"reward": [reward]}, [math.log(0.01)], is_sample=True)], CPU)
    logprobs = torch.tensor([[0.0, math.log(0.01 * ratio)]])
    total, _ = Objective().total(logprobs, batch)
    assert float(total) == pytest.approx(loss, rel=1e-4)
    grpo = policy_gradient.Objective(clip=0.2, surrogate="ppo", normalisation="sequences")
    assert float(grpo.total(logprobs, batch)[0]) == pytest.approx(-1.2 if reward > 0 else 0.8, rel=1e-4)


def test_bounds_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="must be greater than 0"):
        Objective(low=0)
