"""FIGA's loss on a case worked by hand."""

import math

import pytest
import torch

from models.batch import Example, collate
from models.objectives.figa import Objective

CPU = torch.device("cpu")


def test_a_token_is_pushed_away_only_while_it_is_likely():
    """The worked example of models/objectives/figa.py; −log 0.5 = 0.693 > 0.6 > 0.223 = −log 0.8."""
    rewrite = Example([1], [2], {"weight": [1.0]})
    sample = Example([1], [3, 4], {"weight": [-0.5, -0.5]}, is_sample=True, is_right=False)
    batch = collate([rewrite, sample], CPU)
    logprobs = torch.tensor([[1, 0.5, 1], [1, 0.8, 0.5]]).log().requires_grad_()
    total, reports = Objective().total(logprobs, batch)
    assert int(Objective().count(batch)) == 3
    assert float(total.detach()) == pytest.approx(0.6931 - 0.5 * 0.2231, abs=1e-3)
    total.backward()
    assert logprobs.grad[0, 1] == -1  # likelier
    assert logprobs.grad[1].tolist() == [0, 0.5, 0]  # less likely; and left alone
    gone, rejected = reports["rejected_unlikely"]
    assert (int(gone), int(rejected)) == (1, 2)


def test_an_infinite_limit_is_refused():
    with pytest.raises(ValueError, match="limit"):
        Objective(limit=-math.inf)
