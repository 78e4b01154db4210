"""The policy gradient on cases worked by hand, with ε = 0.3."""

import math

import pytest
import torch

from models.batch import Example, collate
from models.objectives.policy_gradient import Objective, token_terms

LOG = math.log


def term_and_slope(ratio, reward, surrogate):
    """The loss term of one token with π_ref = 0.4, and its derivative with respect to log π."""
    logprob = torch.tensor([LOG(0.4 * ratio)], requires_grad=True)
    reference = torch.tensor([LOG(0.4)])
    term = token_terms(logprob, reference, torch.tensor([reward]), bounds=(0.7, 1.3), surrogate=surrogate)
    term.sum().backward()
    return float(term.detach()), float(logprob.grad)


@pytest.mark.parametrize(
    ("ratio", "reward", "weight"),
    [
        (1.0, 0.5, 0.5),  # min(0.5, 0.5)
        (2.0, 0.5, 0.65),  # min(1.0, 1.3 · 0.5)
        (0.5, 0.5, 0.25),  # min(0.25, 0.7 · 0.5 = 0.35)
        (1.0, -0.1, -0.1),
        (0.5, -0.1, -0.07),  # min(−0.05, 0.7 · −0.1): never less than (1−ε)|R|
        (2.0, -0.1, -0.2),  # min(−0.2, 1.3 · −0.1)
    ],
)
def test_the_stop_gradient_surrogate_weighs_log_pi_by_a_constant(ratio, reward, weight):
    term, slope = term_and_slope(ratio, reward, "stop-gradient")
    assert term == pytest.approx(-weight * LOG(0.4 * ratio), rel=1e-5)
    assert slope == pytest.approx(-weight, rel=1e-5)


@pytest.mark.parametrize(
    ("ratio", "reward", "term", "slope"),
    [
        (1.0, 0.5, -0.5, -0.5),  # d(−ρR)/d log π = −ρR
        (2.0, 0.5, -0.65, 0.0),  # clipped: flat
        (0.5, 0.5, -0.25, -0.25),
        (0.5, -0.1, 0.07, 0.0),  # clipped: flat
        (2.0, -0.1, 0.2, 0.2),
    ],
)
def test_the_ppo_surrogate_differentiates_through_the_ratio(ratio, reward, term, slope):
    assert term_and_slope(ratio, reward, "ppo") == pytest.approx((term, slope), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("ratio", "reward", "weight"),
    [(1.2, 0.5, 0.6), (2.0, 0.5, 0.0), (0.5, 0.5, 0.25), (0.5, -0.1, 0.0), (2.0, -0.1, -0.2)],
)
def test_zero_outside_clip_drops_tokens_that_went_far_enough(ratio, reward, weight):
    assert term_and_slope(ratio, reward, "zero-outside-clip")[1] == pytest.approx(-weight, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("surrogate", ["stop-gradient", "ppo", "zero-outside-clip"])
def test_a_token_without_reward_gives_exactly_nothing_even_at_an_infinite_ratio(surrogate):
    logprob = torch.tensor([0.0], requires_grad=True)
    term = token_terms(logprob, torch.tensor([-1e4]), torch.tensor([0.0]), (0.7, 1.3), surrogate)
    term.sum().backward()
    assert term.detach().item() == 0.0
    assert not torch.isnan(logprob.grad).any()


def batch():
    right = Example([1], [2, 3, 4], {"reward": [0.5, 0.0, 0.2]}, [-1.0, -2.0, -3.0], is_sample=True)
    rewrite = Example([1], [2, 3], {"weight": [1.0, 0.5]})
    return collate([right, rewrite], torch.device("cpu"))


def test_the_denominator_counts_nonzero_rewards_or_all_tokens_of_samples_or_samples():
    assert int(Objective(normalisation="nonzero").count(batch())) == 2
    assert int(Objective(normalisation="tokens").count(batch())) == 3
    assert int(Objective(normalisation="sequences").count(batch())) == 1


def test_normalised_by_sequences_a_long_sample_counts_no_more_than_a_short_one():
    """At ratio 1 the weight is R. Over a long sample's 3 tokens and a short one's 1, with log π = −1 everywhere:
    (0.6 + 0.6 + 0.6) / 3 + 0.6 / 1 = 1.2, over 2 samples; by tokens it is 2.4 over 4."""
    long = Example([1], [2, 3, 4], {"reward": [0.6] * 3}, [-1.0] * 3, is_sample=True)
    short = Example([1], [2], {"reward": [0.6]}, [-1.0], is_sample=True)
    made = collate([long, short], torch.device("cpu"))
    logprobs = made.reference_logprobs
    assert float(Objective(normalisation="sequences").total(logprobs, made)[0]) == pytest.approx(1.2)
    assert float(Objective(normalisation="tokens").total(logprobs, made)[0]) == pytest.approx(2.4)


def test_reports_are_sums_and_counts_over_the_samples_tokens():
    """log π is 0.1 above the reference at each of the three tokens: KL (k3) = 3 · (e^0.1 − 1 − 0.1)."""
    made = batch()
    _, reports = Objective().total(made.reference_logprobs + 0.1, made)
    assert {int(count) for _, count in reports.values()} == {3}
    sums = {name: float(value) for name, (value, _) in reports.items()}
    assert sums["reward_mean"] == pytest.approx(0.7)
    assert sums["kl_to_reference"] == pytest.approx(3 * (math.exp(0.1) - 1 - 0.1), rel=1e-3)
    assert sums["clipped_fraction"] == 0  # e^0.1 − 1 = 0.105 < 0.3


def test_a_wrong_token_that_the_policy_has_unlearned_adds_no_thousands_to_the_kl():
    """log π = −20 against −1: k3 = e^−19 − 1 + 19 = 18.0; the other direction's estimator would say e^19 − 20."""
    sample = collate([Example([1], [2], {"reward": [-0.1]}, [-1.0], is_sample=True)], torch.device("cpu"))
    _, reports = Objective().total(torch.tensor([[0.0, -20.0]]), sample)
    assert float(reports["kl_to_reference"][0]) == pytest.approx(18.0, abs=1e-4)


def test_straying_from_the_reference_costs_a_part_of_the_reward():
    # log ρ = log 1.2 = 0.1823: R − 0.5 · 0.1823 = −0.0912 + 0.1 = 0.0088, times ρ = 1.2 within the clip
    batch = collate([Example([1], [2], {"reward": [0.1]}, [-1.0], is_sample=True)], torch.device("cpu"))
    logprobs = torch.tensor([[0.0, -1.0 + math.log(1.2)]])
    total, _ = Objective(surrogate="ppo", normalisation="tokens", kl=0.5).total(logprobs, batch)
    assert float(total) == pytest.approx(-1.2 * (0.1 - 0.5 * math.log(1.2)), rel=1e-4)


def test_an_imitated_completion_pays_nothing_for_straying():
    batch = collate([Example([1], [2], {"weight": [1.0]}, [-1.0])], torch.device("cpu"))
    total, _ = Objective(kl=0.5).total(torch.tensor([[0.0, -3.0]]), batch)
    assert float(total) == 0
