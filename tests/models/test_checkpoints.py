"""A training run that is killed and started again ends as if it had not been."""

import copy
from itertools import islice

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models import processes
from models.batch import Example
from models.checkpoints import Checkpoints, RandomStates
from models.loop import Optimisation, train
from models.objectives import weighted_nll

TOTAL = 9
STEPS = [[Example([5, 6 + step], [7, 8, 9 + step], {"weight": [1.0, 1.0, 1.0]})] for step in range(TOTAL)]


class KilledError(Exception):
    pass


def run(model, folder, killed_at=None, optimiser="adamw"):
    """Train with dropout, an average of the weights and a falling rate; return what 9 updates made."""
    torch.manual_seed(0)
    model = copy.deepcopy(model)
    model.config.attention_dropout = 0.3
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.3
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    checkpoints = Checkpoints(folder, every=3) if folder else None
    options = Optimisation(optimiser=optimiser, learning_rate=1e-2, warm_up_fraction=0.2)
    losses = {}
    for done, report in train(
        model, STEPS, TOTAL, {"weighted_nll": weighted_nll.Objective()}, options, checkpoints, [averaged]
    ):
        averaged.update_parameters(model)
        losses[done] = report["loss"]
        if done == killed_at:
            raise KilledError
    return losses, weights(model), weights(averaged.module)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_dropout_makes_these_runs_depend_on_the_random_state(model):
    torch.manual_seed(0)
    first, again = run(model, None), run(model, None)
    assert torch.equal(first[1], again[1])
    assert len(set(islice(first[0].values(), TOTAL))) == TOTAL


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
@pytest.mark.parametrize(("killed_at", "resumed_at"), [(2, 0), (3, 0), (4, 3), (8, 6)])
def test_a_run_that_was_killed_ends_with_the_same_weights(model, tmp_path, killed_at, resumed_at, optimiser):
    """Checkpoints come after updates 3 and 6, each when its caller is done with the update: 3 is not there yet."""
    expected = run(model, None, optimiser=optimiser)
    with pytest.raises(KilledError):
        run(model, tmp_path, killed_at, optimiser)
    torch.rand(100)  # another process would be in another random state, too
    losses, trained, averaged = run(model, tmp_path, optimiser=optimiser)
    assert list(losses) == list(range(resumed_at + 1, TOTAL + 1))
    assert all(losses[done] == expected[0][done] for done in losses)
    assert torch.equal(trained, expected[1])
    assert torch.equal(averaged, expected[2])


def test_only_the_newest_checkpoint_is_kept_and_half_a_one_is_never_read(model, tmp_path):
    run(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["updates-00000006"]
    (tmp_path / "partial").mkdir()
    assert [path.name for path in Checkpoints(tmp_path, 3).found()] == ["updates-00000006"]


def test_weights_in_a_checkpoint_are_safetensors(model, tmp_path):
    run(model, tmp_path)
    names = {path.name for path in (tmp_path / "updates-00000006").iterdir()}
    assert "model.safetensors" in names


def test_each_process_goes_on_with_the_random_numbers_that_it_would_have_drawn(model, tmp_path, monkeypatch):
    """Two processes, acted by one: what the second says is its own state, and one more begins with its own seed."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    checkpoints = Checkpoints(tmp_path, every=1)
    checkpoints.register(model, optimiser)

    def drawn_by(seed):
        torch.manual_seed(seed)
        states = RandomStates().state_dict()
        return states, float(torch.rand(()))

    (first, drawn), (second, drawn_by_second) = drawn_by(1), drawn_by(2)
    monkeypatch.setattr(processes, "gathered", lambda own: [first, second])
    checkpoints.save(1)
    torch.manual_seed(3)
    third = float(torch.rand(()))
    for rank, expected in enumerate([drawn, drawn_by_second, third]):
        torch.manual_seed(3)
        monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
        assert checkpoints.restore() == 1
        assert float(torch.rand(())) == expected
