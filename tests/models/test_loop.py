"""The training loop: two denominators over the whole update, and no NaN from an update without terms."""

import copy

import pytest
import torch

from models.batch import Example, collate
from models.logprobs import token_logprobs
from models.loop import NotFiniteError, Optimisation, train
from models.objectives import pairwise, policy_gradient, weighted_nll

RIGHT = Example(
    [5, 6], [7, 8, 9], {"reward": [0.5, 0.0, 0.2], "weight": [0.5, 0.5, 0.5]}, [-5.0, -5.0, -5.0], is_sample=True
)
WRONG = Example([5], [6, 7], {"reward": [0.0, -0.1]}, [-5.0, -5.0], is_sample=True, pair=0)
REWRITE = Example([5], [6, 8, 9, 10], {"weight": [0.5, 1.0, 1.0, 0.5]}, [-5.0, -5.0, -5.0, -5.0], pair=0)
OBJECTIVES = {"weighted_nll": weighted_nll.Objective(), "policy_gradient": policy_gradient.Objective()}


def one_update(model, examples, micro_batch_tokens, objectives=OBJECTIVES):
    model = copy.deepcopy(model)
    options = Optimisation(learning_rate=1e-3, warm_up_fraction=0, micro_batch_tokens=micro_batch_tokens)
    ((_, report),) = train(model, [examples], 1, objectives, options)
    return report, torch.cat([parameter.flatten() for parameter in model.parameters()]).detach()


def test_one_big_batch_equals_several_small_ones(model):
    """Both denominators count over the update: 3 nonzero rewards and 7 weights, however it is split."""
    examples = [RIGHT, WRONG, REWRITE]
    whole, weights = one_update(model, examples, micro_batch_tokens=1000)
    split, same_weights = one_update(model, examples, micro_batch_tokens=1)
    assert split["loss"] == pytest.approx(whole["loss"], abs=1e-6)
    assert split["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=1e-5)
    # Adam divides a gradient by its own size, so rounding shows where a gradient is nearly 0; 1e-6 holds elsewhere.
    assert (weights - same_weights).abs().mean() < 1e-6


def test_a_pair_stays_together_however_small_the_micro_batches(model):
    """One pair of three sequences: log-ratios of the rewrite and of the wrong sample, β = 0.1."""
    objectives = {"pairwise": pairwise.Objective(beta=0.1)}
    whole, _ = one_update(model, [WRONG, RIGHT, REWRITE], 1000, objectives)
    split, _ = one_update(model, [WRONG, RIGHT, REWRITE], 1, objectives)
    wrong, rewrite = (summed_log_ratio(model, example) for example in (WRONG, REWRITE))
    loss = -torch.nn.functional.logsigmoid(0.1 * (rewrite - wrong))
    assert split["loss"] == pytest.approx(whole["loss"], abs=1e-6)
    assert whole["loss/pairwise"] == pytest.approx(float(loss), rel=1e-5)
    assert whole["pair_margin"] == pytest.approx(float(0.1 * (rewrite - wrong)), rel=1e-4)


def summed_log_ratio(model, example):
    batch = collate([example], torch.device("cpu"))
    with torch.no_grad():
        return (token_logprobs(model, batch) - batch.reference_logprobs)[batch.completion].sum()


def test_the_loss_is_the_formula_of_the_paper(model):
    report, _ = one_update(model, [RIGHT, WRONG, REWRITE], micro_batch_tokens=1000)

    def logprobs(example):
        batch = collate([example], torch.device("cpu"))
        with torch.no_grad():
            return token_logprobs(model, batch)[batch.completion]

    right, wrong, rewrite = logprobs(RIGHT), logprobs(WRONG), logprobs(REWRITE)
    # L_IM: the right sample imitates itself at 0.5, the rewrite at 0.5 1 1 0.5; 3 + 4 tokens have a weight.
    imitation = -(0.5 * right.sum() + (torch.tensor([0.5, 1, 1, 0.5]) * rewrite).sum()) / 7
    # L_RL: tokens 0 and 2 of the right sample and token 1 of the wrong one have a reward: 3 tokens.
    total = 0.0
    for logprob, reward in ((right[0], 0.5), (right[2], 0.2), (wrong[1], -0.1)):
        ratio = (logprob + 5.0).exp()
        total -= torch.minimum(ratio * reward, ratio.clamp(0.7, 1.3) * reward) * logprob
    assert report["loss/weighted_nll"] == pytest.approx(float(imitation), rel=1e-5)
    assert report["loss/policy_gradient"] == pytest.approx(float(total / 3), rel=1e-5)
    assert report["loss"] == pytest.approx(float(imitation + total / 3), rel=1e-5)


def test_an_update_without_any_term_has_loss_zero_and_changes_nothing(model):
    nothing = Example([5], [6, 7], {"reward": [0.0, 0.0]}, [-5.0, -5.0], is_sample=True)
    report, weights = one_update(model, [nothing], micro_batch_tokens=1000)
    before = torch.cat([parameter.flatten() for parameter in model.parameters()])
    assert report["loss"] == 0.0
    assert torch.equal(weights, before)


def test_training_twice_gives_the_same_bytes(model):
    _, first = one_update(model, [RIGHT, WRONG, REWRITE], 1000)
    _, second = one_update(model, [RIGHT, WRONG, REWRITE], 1000)
    assert torch.equal(first, second)


def test_every_update_reports_what_the_run_page_shows(model):
    report, _ = one_update(model, [RIGHT, WRONG, REWRITE], 1000)
    assert {
        "loss", "loss/weighted_nll", "loss/policy_gradient", "reward_mean", "clipped_fraction",
        "kl_to_reference", "gradient_norm", "learning_rate", "tokens", "tokens_per_second",
    } <= report.keys()  # fmt: skip


def test_an_update_that_would_make_the_weights_no_numbers_is_not_made(model):
    """A rate of 1e30 makes them so large in the first update that the second has no gradient."""
    model = copy.deepcopy(model)
    options = Optimisation(learning_rate=1e30, warm_up_fraction=0)
    reports = train(model, [[RIGHT]] * 3, 3, OBJECTIVES, options)
    next(reports)
    with pytest.raises(NotFiniteError, match="the gradient's norm is nan"):
        next(reports)
    assert all(weights.isfinite().all() for weights in model.parameters())


@pytest.mark.parametrize("rate", [0.0, float("nan"), float("inf")])
def test_a_learning_rate_is_a_number_above_0(rate):
    with pytest.raises(ValueError, match="learning_rate must be a number greater than 0"):
        Optimisation(learning_rate=rate)
