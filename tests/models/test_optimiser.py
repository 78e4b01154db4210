"""Muon for the matrices of layers, AdamW for all else, as one optimiser."""

import copy
import math

import pytest
import torch

from models.batch import Example
from models.loop import Optimisation, train
from models.objectives import weighted_nll
from models.optimiser import new_optimiser

RATE = 0.01
MUON = Optimisation(optimiser="muon", learning_rate=RATE, warm_up_fraction=0)


@pytest.fixture
def made(model):
    """A copy of the model with gradients; those of matrices are ten times as steep in one direction as in another."""
    made = copy.deepcopy(model)
    torch.manual_seed(0)
    for weights in made.parameters():
        weights.grad = torch.randn_like(weights)
        if weights.ndim == 2:
            left, steepness, right = torch.linalg.svd(weights.grad, full_matrices=False)
            weights.grad = left * torch.linspace(1, 10, len(steepness)) @ right
    return made


def changes(model, before):
    return {name: (weights - before.get_parameter(name)).detach() for name, weights in model.named_parameters()}


def test_every_matrix_of_a_layer_and_nothing_else_moves_in_all_directions_alike(made, model):
    """An update is 0.2 · √(longer side) · rate times a matrix whose singular values are near 1: Muon's five iterations
    leave them between 0.6 and 1.3. Embeddings (here the output layer, too) and norms get AdamW's update, of which the
    first is the rate times the gradient's sign."""
    new_optimiser(made, MUON).step()
    moved = changes(made, model)
    matrices = [name for name in moved if name.startswith("model.layers.") and "norm" not in name]
    assert len(matrices) == 2 * 7  # layers; q, k, v, o, gate, up and down
    for name in matrices:
        size = 0.2 * math.sqrt(max(moved[name].shape)) * RATE
        values = torch.linalg.svdvals(moved[name] / size)
        assert (values.min() > 0.6, values.max() < 1.3) == (True, True), name
    for name in moved.keys() - set(matrices):
        signs = -RATE * made.get_parameter(name).grad.sign()
        torch.testing.assert_close(moved[name], signs, atol=1e-6, rtol=1e-4)


def test_at_one_rate_updates_are_as_large_as_adamws(made, model):
    """Root mean squares; AdamW's first update is the rate everywhere, its later ones about 0.2 of it, as Muon's are."""
    new_optimiser(made, MUON).step()
    moved = changes(made, model)["model.layers.0.mlp.gate_proj.weight"]  # (64, 32): 32 of its singular values are 1
    expected = 0.2 * math.sqrt(64) * RATE * math.sqrt(32 / (64 * 32))
    assert expected == pytest.approx(0.2 * RATE)
    assert float(moved.square().mean().sqrt()) == pytest.approx(expected, rel=0.2)


def test_positions_have_rows_of_a_table_and_no_matrix(tokenizer):
    """GPT-2 adds embeddings of positions; its layer has four matrices."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=len(tokenizer), n_positions=32, n_embd=16, n_layer=1, n_head=2)
    optimiser = new_optimiser(GPT2LMHeadModel(config), MUON)
    shapes = [tuple(weights.shape) for weights in optimiser.param_groups[0]["params"]]
    assert shapes == [(16, 48), (16, 16), (16, 64), (64, 16)]  # attention in and out, feed-forward in and out


def test_a_model_learns_with_muon_and_the_rehearsal_leaves_no_trace(model):
    """The rehearsal of the longest example makes the optimiser's states, and drops them."""
    example = Example([5, 6], [7, 8, 9], {"weight": [1.0, 1.0, 1.0]})
    curves = []
    for longest in (None, example):
        reports = train(
            copy.deepcopy(model), [[example]] * 8, 8, {"nll": weighted_nll.Objective()}, MUON, longest=longest
        )
        curves.append([report["loss"] for _, report in reports])
    assert curves[0] == curves[1]
    assert curves[0][-1] < curves[0][0] / 2
