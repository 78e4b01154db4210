"""Low-rank adapters: they alone are trained, and what is saved is one whole model with the adapter beside it."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file

from models import policy
from models.batch import Example, collate
from models.checkpoints import Checkpoints
from models.logprobs import token_logprobs
from models.loop import Optimisation, train
from models.lora import Lora, adapted, merged
from models.objectives import weighted_nll

STEPS = [[Example([5, 6], [7, 8, 9 + step], {"weight": [1.0] * 3})] for step in range(4)]
OBJECTIVES = {"weighted_nll": weighted_nll.Objective()}


def learned(model, folder=None, stop=None, **options):
    """A copy of the model with adapters after four updates, or `stop`."""
    made = adapted(copy.deepcopy(model), Lora(rank=4), seed=1)
    checkpoints = Checkpoints(folder, every=2) if folder else None
    how = Optimisation(learning_rate=1e-2, warm_up_fraction=0, **options)
    for done, _ in train(made, STEPS, 4, OBJECTIVES, how, checkpoints):
        if done == stop:
            break
    return made


def logprobs(model):
    with torch.no_grad():
        return token_logprobs(model, collate(STEPS[0], torch.device("cpu")))


def test_new_adapters_change_nothing_and_depend_on_their_seed_alone(model):
    one, same, other = (adapted(copy.deepcopy(model), Lora(rank=4), seed) for seed in (1, 1, 2))
    torch.testing.assert_close(logprobs(one), logprobs(model))
    first, again, third = (
        torch.cat([weights.flatten() for weights in made.parameters() if weights.requires_grad])
        for made in (one, same, other)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, third)
    assert adapted(model, None, seed=1) is model


def test_what_is_saved_is_the_whole_model_and_the_adapter(model, tokenizer, tmp_path):
    made = learned(model)
    expected = logprobs(made)
    policy.save(merged(made, tmp_path / "adapter"), tokenizer, tmp_path)
    loaded, _ = policy.load(tmp_path)
    torch.testing.assert_close(logprobs(loaded), expected, atol=1e-5, rtol=0)
    assert not torch.allclose(expected, logprobs(model), atol=1e-3)
    assert {name for name, _ in loaded.named_parameters()} == {name for name, _ in model.named_parameters()}
    adapter = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("lora_A" in name or "lora_B" in name for name in adapter)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (4, None)


def test_the_adapter_alone_gives_the_same_model_on_its_base(model, tmp_path):
    from peft import PeftModel

    made = learned(model)
    expected = logprobs(made)
    merged(made, tmp_path / "adapter")
    served = PeftModel.from_pretrained(copy.deepcopy(model), tmp_path / "adapter")
    torch.testing.assert_close(logprobs(served), expected, atol=1e-5, rtol=0)


def test_a_checkpoint_holds_the_adapters_alone_and_a_killed_run_ends_the_same(model, tmp_path):
    whole = logprobs(learned(model))
    learned(model, tmp_path, stop=3)
    (folder,) = Checkpoints(tmp_path, 2).found()
    assert all("lora" in name for name in load_file(folder / "model.safetensors"))
    assert torch.equal(logprobs(learned(model, tmp_path)), whole)


def test_adapters_go_with_bf16_and_checkpointed_activations(model):
    made = learned(model, precision="bf16", gradient_checkpointing=True)
    torch.testing.assert_close(logprobs(made), logprobs(learned(model)), atol=0.05, rtol=0)


@pytest.mark.parametrize("settings", [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}])
def test_a_setting_out_of_range_is_refused(settings):
    with pytest.raises(ValueError, match="must be greater than 0"):
        Lora(**settings)


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'rlmec\[lora\]'"):
        Lora()
