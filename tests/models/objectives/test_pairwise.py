"""The pairwise loss on cases worked by hand, with β = 0.1."""

import math

import pytest
import torch

from models.batch import Example, collate
from models.objectives.pairwise import Objective

SAMPLE = Example([1], [2, 3], {}, [-1.0, -1.0], is_sample=True, is_right=False, pair=7)
REWRITE = Example([1], [2, 4, 5], {}, [-1.0, -2.0, -1.0], pair=7)
ALONE = Example([1], [2], {}, [-1.0], is_sample=True)


def test_a_pairs_loss_is_minus_log_sigma_of_its_margin():
    batch = collate([SAMPLE, ALONE, REWRITE], torch.device("cpu"))
    assert batch.pairs.tolist() == [[2, 0]]  # the preferred row, the rejected row
    #                             sample: −1 −1     alone: −9    rewrite: −0.5 −0.5 0
    logprobs = torch.tensor([[0, -2.0, -2.0, 0], [0, -9.0, 0, 0], [0, -0.5, -0.5, 0.0]])
    total, reports = Objective(beta=0.1).total(logprobs, batch)
    # rewrite: 0.5 + 1.5 + 1 = 3 nats likelier than under the reference; sample: −1 − 1 = −2; margin 0.1 · 5 = 0.5
    assert float(total) == pytest.approx(-math.log(1 / (1 + math.exp(-0.5))), rel=1e-5)
    assert int(Objective().count(batch)) == 1
    assert float(reports["pair_margin"][0]) == pytest.approx(0.5)
    assert int(reports["pairs_ordered"][0]) == 1


def test_a_batch_without_a_pair_has_no_loss():
    batch = collate([ALONE], torch.device("cpu"))
    total, _ = Objective().total(torch.tensor([[0, -9.0]]), batch)
    assert (float(total), int(Objective().count(batch))) == (0.0, 0)
