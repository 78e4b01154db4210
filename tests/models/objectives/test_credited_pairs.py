"""The objectives that weigh a pair's tokens by their credit, on cases worked by hand."""

import math

import pytest
import torch

from models.batch import Example, collate
from models.objectives import cdpo, pairwise, t_reg, tgdpo

CPU = torch.device("cpu")


def pair(sample_rewards, rewrite_rewards, sample_reference, rewrite_reference):
    sample = Example([1], list(range(2, 2 + len(sample_rewards))), {"reward": sample_rewards}, sample_reference,
                     is_sample=True, is_right=False, pair=0)  # fmt: skip
    rewrite = Example(
        [1], list(range(5, 5 + len(rewrite_rewards))), {"reward": rewrite_rewards}, rewrite_reference, pair=0
    )
    return collate([sample, rewrite], CPU)


def log_sigmoid(x):
    return -math.log(1 + math.exp(-x))


def test_a_log_ratio_counts_for_more_where_tgdpos_reward_agrees_with_it():
    """The worked example of models/objectives/tgdpo.py."""
    batch = pair([-4.0], [4.0], [-1.0], [-3.0])
    logprobs = torch.tensor([[0, -2.0], [0, -1.0]])  # ℓ = −1 in the sample, 2 in the rewrite
    total, reports = tgdpo.Objective(beta=0.1, alpha=0.5).total(logprobs, batch)
    assert float(reports["pair_margin"][0]) == pytest.approx(0.36)
    assert float(total) == pytest.approx(-log_sigmoid(0.36), rel=1e-5)


def test_cdpo_rejects_critical_tokens_and_spares_the_others():
    """The worked example of models/objectives/cdpo.py; the rewrite's own s, given too, has no say."""
    batch = pair([1.0, 0.2], [0.5, 0.5], [-1.0, -1.0], [-2.0, -3.0])
    logprobs = torch.tensor([[0, -2.0, -2.0], [0, -1.0, -1.0]], requires_grad=True)
    total, reports = cdpo.Objective(beta=0.1).total(logprobs, batch)
    assert float(reports["pair_margin"][0]) == pytest.approx(0.38)
    assert float(total.detach()) == pytest.approx(0.521, abs=1e-3)
    total.backward()
    slope = 0.1 / (1 + math.exp(0.38))  # β σ(−margin)
    assert logprobs.grad.tolist() == [pytest.approx([0, 0, 0.8 * slope]), pytest.approx([0, -slope, -slope])]


def test_t_reg_adds_each_tokens_own_reward_where_the_order_is_wrong():
    """The worked example of models/objectives/t_reg.py."""
    batch = pair([0.4], [0.0], [-2.0], [-1.0])
    logprobs = torch.tensor([[0, -2.0], [0, -1.0]], requires_grad=True)
    total, _ = t_reg.Objective(beta=0.1, alpha=0.5).total(logprobs, batch)
    assert float(total.detach()) == pytest.approx(math.log(2) + 0.02, rel=1e-4)
    total.backward()
    # d/d log π of the sample: + β σ(−m) from the pair, − α σ(−m) β r̂ from its reward: 0.05 − 0.5 · 0.5 · 0.1 · 0.4
    assert logprobs.grad[0, 1] == pytest.approx(0.05 - 0.01, rel=1e-4)
    assert logprobs.grad[1, 1] == pytest.approx(-0.05, rel=1e-4)


@pytest.mark.parametrize("objective", [tgdpo.Objective(alpha=0.0), t_reg.Objective(alpha=0.0)])
def test_without_their_rewards_they_are_dpo(objective):
    batch = pair([0.4, -0.3], [0.1, 0.2], [-1.0, -1.0], [-2.0, -3.0])
    logprobs = torch.tensor([[0, -2.0, -0.5], [0, -1.0, -4.0]])
    assert float(objective.total(logprobs, batch)[0]) == float(pairwise.Objective().total(logprobs, batch)[0])


def test_where_no_token_is_spared_cdpo_is_dpo():
    batch = pair([0.0, 0.0], [0.7, 0.2], [-1.0, -1.0], [-2.0, -3.0])
    logprobs = torch.tensor([[0, -2.0, -0.5], [0, -1.0, -4.0]])
    assert float(cdpo.Objective().total(logprobs, batch)[0]) == float(pairwise.Objective().total(logprobs, batch)[0])
