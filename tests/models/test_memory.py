"""Memory: micro-batches are halved where they do not fit, the longest example comes first, and what saves memory
changes nothing but rounding."""

import copy

import pytest
import torch

from models import loop
from models.batch import Example
from models.logprobs import output_layer, token_logprobs
from models.loop import NotEnoughMemoryError, Optimisation, train
from models.objectives import policy_gradient, weighted_nll

EXAMPLES = [
    Example([1 + row, 6], [7 + row] * (1 + row), {"reward": [0.3] * (1 + row), "weight": [0.5] * (1 + row)},
            [-5.0] * (1 + row), is_sample=True)
    for row in range(6)
]  # fmt: skip
OBJECTIVES = {"weighted_nll": weighted_nll.Objective(), "policy_gradient": policy_gradient.Objective()}


def trained(model, longest=None, updates=2, **options):
    """The reports of updates on all examples, and the weights after them."""
    model = copy.deepcopy(model)
    how = Optimisation(learning_rate=1e-3, warm_up_fraction=0, **options)
    reports = dict(train(model, [EXAMPLES] * updates, updates, OBJECTIVES, how, longest=longest))
    return reports, torch.cat([parameter.flatten() for parameter in model.parameters()]).detach()


@pytest.fixture
def small_device(monkeypatch):
    """A device on which `limit` padded tokens fit at once; `seen` are the micro-batches that were tried."""
    seen = []

    def limited(limit, fails_at=None):
        def read(model, batch):
            seen.append(batch.layout.tokens.numel())
            if batch.layout.tokens.numel() > limit or len(seen) == fails_at:
                raise torch.OutOfMemoryError("Tried to allocate 20.00 MiB")
            return token_logprobs(model, batch)

        monkeypatch.setattr(loop, "token_logprobs", read)
        return seen

    return limited


def test_micro_batches_are_halved_where_they_do_not_fit_and_the_weights_are_the_same(model, small_device):
    """48 tokens fit all six examples (6 × 8); 24 the three longest and then the others; 12 is what the device has."""
    expected, weights = trained(model, micro_batch_tokens=48)
    seen = small_device(12)
    reports, same = trained(model, micro_batch_tokens=48)
    assert seen[:4] == [48, 24, 8, 7]
    assert [report["micro_batch_tokens"] for report in reports.values()] == [12, 12]
    for done, report in reports.items():
        assert report["loss"] == pytest.approx(expected[done]["loss"], abs=1e-6)
        assert report["gradient_norm"] == pytest.approx(expected[done]["gradient_norm"], rel=1e-5)
    assert (same - weights).abs().mean() < 1e-6


def test_gradients_from_before_memory_ran_out_are_not_counted_twice(model, small_device):
    """The third micro-batch of the first try fails, when two have added their gradients already."""
    expected, weights = trained(model, micro_batch_tokens=16, updates=1)
    seen = small_device(100, fails_at=3)
    reports, same = trained(model, micro_batch_tokens=16, updates=1)
    assert seen[:4] == [16, 12, 8, 8]
    assert reports[1]["micro_batch_tokens"] == 8
    assert reports[1]["gradient_norm"] == pytest.approx(expected[1]["gradient_norm"], rel=1e-5)
    assert (same - weights).abs().mean() < 1e-6


def test_memory_that_does_not_suffice_for_one_example_shows_before_the_first_update(model, small_device):
    """A micro-batch of 40 tokens holds five copies of the longest example, 8 tokens each."""
    seen = small_device(7)
    with pytest.raises(NotEnoughMemoryError, match="a micro-batch of 5 tokens does not fit into memory: Tried to"):
        trained(model, longest=EXAMPLES[-1], micro_batch_tokens=40)
    assert seen == [40, 16, 8, 8]  # 5, 2 and then single copies: at 20, 10 and 5 tokens


def test_trying_the_longest_example_first_leaves_no_trace(model):
    torch.manual_seed(3)
    expected, weights = trained(model)
    reports, same = trained(model, longest=EXAMPLES[-1])
    assert torch.equal(weights, same)
    assert [report["loss"] for report in reports.values()] == [report["loss"] for report in expected.values()]


def test_checkpointed_activations_change_nothing(model):
    expected, weights = trained(model)
    reports, same = trained(model, gradient_checkpointing=True)
    assert reports[2]["loss"] == pytest.approx(expected[2]["loss"], abs=1e-6)
    assert (same - weights).abs().mean() < 1e-6


def test_in_bf16_weights_and_logprobs_stay_fp32_and_the_loss_nearly_the_same(model):
    expected, _ = trained(model)
    reports, weights = trained(model, precision="bf16")
    assert weights.dtype == torch.float32
    assert reports[2]["loss"] == pytest.approx(expected[2]["loss"], rel=0.01)
    assert reports[2]["loss"] != expected[2]["loss"]


def test_the_output_layer_is_not_computed_in_bf16(model):
    hidden = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = model.lm_head(hidden)
        with torch.autocast("cpu", torch.bfloat16):
            assert model.lm_head(hidden).dtype == torch.bfloat16
            with output_layer(model, is_precise=True):
                assert torch.equal(model.lm_head(hidden), exact)
            assert model.lm_head(hidden).dtype == torch.bfloat16  # as before
