"""TDPO's loss on a case worked by hand, and the drift that it counts."""

import copy
import math
from dataclasses import replace

import pytest
import torch

from models.batch import Example, collate
from models.logprobs import KL, logprobs_and_kl, token_logprobs
from models.loop import Optimisation, train
from models.objectives import pairwise
from models.objectives.tdpo import Objective

SAMPLE = Example([1], [2, 3], {}, [-1.0, -1.0], is_sample=True, is_right=False, pair=7)
REWRITE = Example([1], [2, 4, 5], {}, [-1.0, -2.0, -1.0], pair=7)
CPU = torch.device("cpu")


def test_a_pair_pays_for_the_rejected_halfs_drift():
    batch = collate([SAMPLE, REWRITE], CPU)
    logprobs = torch.tensor([[0, -2.0, -2.0, 0], [0, -0.5, -0.5, 0.0]])  # 5 nats apart: see test_pairwise
    drift = torch.tensor([[0, 1.0, 2.0, 0], [0, 0.5, 0.25, 0.25]], requires_grad=True)
    total, reports = Objective(beta=0.1, alpha=0.5).total(logprobs, replace(batch, scores={KL: drift}))
    # the sample drifted by 3 nats, the rewrite by 1: 0.1 · (5 − 0.5 · (3 − 1)) = 0.4
    assert float(reports["pair_margin"][0]) == pytest.approx(0.4)
    assert float(total.detach()) == pytest.approx(-math.log(1 / (1 + math.exp(-0.4))), rel=1e-5)
    total.backward()
    # d loss / d KL(sample) = σ(−0.4) · 0.1 · 0.5; the rewrite's drift has a stop-gradient
    assert drift.grad[0, 1:3].tolist() == pytest.approx([0.05 / (1 + math.exp(0.4))] * 2)
    assert drift.grad[1].tolist() == [0, 0, 0, 0]


def test_without_a_price_it_is_dpo():
    batch = collate([SAMPLE, REWRITE], CPU)
    logprobs = torch.tensor([[0, -2.0, -2.0, 0], [0, -0.5, -0.5, 0.0]])
    free, _ = Objective(alpha=0.0).total(logprobs, replace(batch, scores={KL: torch.ones(2, 4)}))
    assert float(free) == float(pairwise.Objective().total(logprobs, batch)[0])


def test_the_drift_is_the_divergence_of_the_whole_distributions(model):
    other = copy.deepcopy(model)
    with torch.no_grad():
        for weights in other.parameters():
            weights.add_(0.05 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)))
    batch = collate([SAMPLE, REWRITE], CPU)
    logprobs, drift = logprobs_and_kl(model, other, batch)
    assert torch.equal(logprobs, token_logprobs(model, batch))
    ours, theirs = (one(input_ids=batch.tokens).logits for one in (model, other))
    p, q = ours[1, 2].softmax(-1).tolist(), theirs[1, 2].softmax(-1).tolist()  # these predict the token at 3
    assert float(drift[1, 3].detach()) == pytest.approx(
        sum(b * math.log(b / a) for a, b in zip(p, q, strict=True)), rel=1e-3
    )
    assert (drift[~batch.completion] == 0).all()
    assert (drift[batch.completion] > 0).all()


def test_one_big_batch_trains_as_several_small_ones_do(model):
    """Pairs stay together, and the drift is measured in each micro-batch."""
    pairs = [replace(half, pair=number) for number in range(3) for half in (SAMPLE, REWRITE)]
    found = []
    for tokens in (8, 1000):
        policy, reference = copy.deepcopy(model), copy.deepcopy(model)
        how = Optimisation(learning_rate=1e-2, schedule="constant", warm_up_fraction=0, micro_batch_tokens=tokens)
        steps = [pairs, pairs]
        reports = [report for _, report in train(policy, steps, 2, {"tdpo": Objective()}, how, reference=reference)]
        found.append([report["loss"] for report in reports])
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0][0] != pytest.approx(found[0][1], abs=1e-3)
