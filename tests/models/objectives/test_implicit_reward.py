"""The loss of an implicit reward model, on a case worked by hand."""

import math

import pytest
import torch

from models.batch import Example, collate
from models.objectives.implicit_reward import Objective


def test_the_log_ratio_of_a_sample_is_to_tell_whether_it_is_right():
    right = Example([1], [2, 3], {}, [-1.0, -1.0], is_sample=True, is_right=True)
    wrong = Example([1], [4], {}, [-3.0], is_sample=True, is_right=False)
    rewrite = Example([1], [2], {}, [-1.0])  # no sample: no term
    batch = collate([right, wrong, rewrite], torch.device("cpu"))
    logprobs = torch.tensor([[0, -0.5, -0.5], [0, 1.0, 0], [0, -0.1, 0]], requires_grad=True)
    total, reports = Objective(beta=0.05).total(logprobs, batch)
    # right: 1 nat, −log σ(0.05) = 0.6685; wrong: 4 nats, −log(1 − σ(0.2)) = 0.7981
    assert float(total.detach()) == pytest.approx(0.6685 + 0.7981, abs=1e-3)
    assert int(Objective().count(batch)) == 2
    told, samples = reports["outcomes_told"]
    assert (int(told), int(samples)) == (1, 2)  # the wrong one is taken for right
    total.backward()
    # d loss / d log π = β (σ(β Σ ℓ) − outcome)
    assert logprobs.grad[0, 1] == pytest.approx(0.05 * (1 / (1 + math.exp(-0.05)) - 1), rel=1e-4)
    assert logprobs.grad[1, 1] == pytest.approx(0.05 / (1 + math.exp(-0.2)), rel=1e-4)
    assert logprobs.grad[2].tolist() == [0, 0, 0]
