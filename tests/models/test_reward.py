"""Token rewards: R = clip(p − 0.5, 0, 0.5) in a right sample, clip(p − 0.5, −0.1, 0) in a wrong one."""

import pytest
import torch

from models.reward import token_rewards

P = torch.tensor([0.0, 0.39, 0.45, 0.5, 0.7, 1.0])


def test_a_right_sample_is_rewarded_above_one_half_and_never_punished():
    torch.testing.assert_close(token_rewards(P, True), torch.tensor([0.0, 0.0, 0.0, 0.0, 0.2, 0.5]))


def test_a_wrong_sample_is_punished_below_one_half_by_at_most_a_tenth():
    torch.testing.assert_close(token_rewards(P, False), torch.tensor([-0.1, -0.1, -0.05, 0.0, 0.0, 0.0]))


def test_a_batch_may_mix_right_and_wrong_samples():
    rewards = token_rewards(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([[True], [False]]))
    torch.testing.assert_close(rewards, torch.tensor([[0.4, 0.0], [0.0, -0.1]]))


def test_clips_are_options():
    rewards = token_rewards(P, False, beta=0.4, floor=-0.5)
    torch.testing.assert_close(rewards, torch.tensor([-0.4, -0.01, 0.0, 0.0, 0.0, 0.0]))


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ValueError, match=r"0\.\.1"):
        token_rewards(torch.tensor([0.5, bad]), True)
