"""TRL's side of `policy_step.py`: its trainers' losses, each with the gradient, clipping and AdamW of an update.

    update = trl_dpo(model, given, examples, "fp32")
    loss = update()

TRL is imported inside, so that a machine without it can read this.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from material import Material
from transformers import PreTrainedModel

from models.batch import Example

CLIP, BETA, RATE, NORM = 0.2, 0.1, 1e-5, 1.0  # what both sides are told
Update = Callable[[], float]


def finished_by(model: PreTrainedModel, gradient: Callable[[], float], precision: str) -> Update:
    """TRL's gradient in autocast, as its trainers prepare their models, and the clipping and AdamW that RLMEC has."""
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)

    def update() -> float:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bf16"):
            loss = gradient()
        torch.nn.utils.clip_grad_norm_(weights, NORM)
        optimiser.step()
        optimiser.zero_grad()
        return loss

    return update


def arguments(model: PreTrainedModel, precision: str) -> dict[str, Any]:
    """What TRL's configurations have in common; nothing is written into the folder."""
    return {
        "output_dir": str(Path(tempfile.gettempdir(), "rlmec-against-trl")),
        "use_cpu": model.device.type == "cpu",
        "bf16": precision == "bf16",
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "report_to": [],
    }


def trl_dpo(model: PreTrainedModel, given: Material, examples: list[Example], precision: str) -> Update:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    pairs = list(zip(examples[::2], examples[1::2], strict=True))
    options = DPOConfig(**arguments(model, precision), beta=BETA, precompute_ref_log_probs=True,
                        per_device_train_batch_size=len(pairs), max_length=None)  # fmt: skip
    rows = Dataset.from_list([{"prompt": "a\n", "chosen": "b", "rejected": "c"}])  # the ids come below
    trainer = DPOTrainer(model, None, args=options, train_dataset=rows, processing_class=given.tokenizer)
    trainer.current_gradient_accumulation_steps = 1
    features = [
        {"prompt_ids": list(chosen.prompt_ids), "chosen_ids": list(chosen.completion_ids),
         "rejected_ids": list(rejected.completion_ids), "ref_chosen_logps": sum(chosen.reference_logprobs or ()),
         "ref_rejected_logps": sum(rejected.reference_logprobs or ())}
        for chosen, rejected in pairs
    ]  # fmt: skip
    return finished_by(model, lambda: trainer.training_step(model, trainer.data_collator(features)), precision)


def grpo_loss(model: PreTrainedModel, given: Material, examples: list[Example], precision: str) -> Callable[[], Any]:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    options = GRPOConfig(**arguments(model, precision), epsilon=CLIP, beta=0.0, loss_type="grpo",
                         per_device_train_batch_size=len(examples), num_generations=2)  # fmt: skip
    rows = Dataset.from_list([{"prompt": "a\n"}])
    trainer = GRPOTrainer(model, lambda **_: [0.0], args=options, processing_class=given.tokenizer, train_dataset=rows)
    trainer.current_gradient_accumulation_steps = 1
    inputs = {name: column.to(model.device) for name, column in grpo_inputs(examples).items()}

    def loss() -> Any:
        with trainer.compute_loss_context_manager():
            return trainer.compute_loss(model, inputs)

    return loss


def grpo_inputs(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """As TRL has them after it has generated: prompts padded on the left, completions on the right."""
    from trl.trainer.utils import pad

    prompts = [torch.tensor(example.prompt_ids) for example in examples]
    completions = [torch.tensor(example.completion_ids) for example in examples]
    return {
        "prompt_ids": pad(prompts, 0, "left"),
        "prompt_mask": pad([torch.ones_like(ids) for ids in prompts], 0, "left"),
        "completion_ids": pad(completions, 0, "right"),
        "completion_mask": pad([torch.ones_like(ids) for ids in completions], 0, "right"),
        "advantages": pad([torch.tensor(example.scores["reward"]) for example in examples], 0, "right"),
        "old_per_token_logps": pad([torch.tensor(example.reference_logprobs) for example in examples], 0, "right"),
    }


def trl_grpo(model: PreTrainedModel, given: Material, examples: list[Example], precision: str) -> Update:
    loss = grpo_loss(model, given, examples, precision)
    return finished_by(model, lambda: backward(loss()), precision)


def trl_grpo_and_sft(model: PreTrainedModel, given: Material, examples: list[Example], precision: str) -> Update:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.utils import pad

    rewarded = grpo_loss(model, given, examples[::2], precision)
    options = SFTConfig(**arguments(model, precision), max_length=None)
    rows = Dataset.from_list([{"prompt": "a\n", "completion": "b"}])
    trainer = SFTTrainer(model, args=options, train_dataset=rows, processing_class=given.tokenizer)
    imitated = examples[1::2]
    ids = [torch.tensor([*example.prompt_ids, *example.completion_ids]) for example in imitated]
    labels = [torch.tensor([-100] * len(one.prompt_ids) + [*one.completion_ids]) for one in imitated]
    inputs = {
        "input_ids": pad(ids, 0, "right"),
        "attention_mask": pad([torch.ones_like(row) for row in ids], 0, "right"),
        "labels": pad(labels, -100, "right"),
    }
    inputs = {name: column.to(model.device) for name, column in inputs.items()}

    def gradient() -> float:
        first = backward(rewarded())
        with trainer.compute_loss_context_manager():
            return first + backward(trainer.compute_loss(model, dict(inputs)))

    return finished_by(model, gradient, precision)


def backward(loss: torch.Tensor) -> float:
    loss.backward()
    return float(loss.detach())
