"""Our losses beside TRL's, on the same ids and weights."""

import copy

import pytest
import torch
from datasets import Dataset

from models import tiny
from models.batch import Example, collate
from models.logprobs import token_logprobs
from models.objectives import pairwise, policy_gradient

PAIRS = [
    ("How many apples?\n", "Tom has 12+5=17 apples.\nThe answer is 17.", "Tom has 12+5=18 apples."),
    ("Tom has 12 apples. He buys 5.\n", "The answer is 17.", "Tom has 17 apples now.\nThe answer is 12."),
    ("How many?\n", "12+5=17", "12"),
]


@pytest.fixture
def trainer(model, tokenizer, tmp_path):
    from trl import DPOConfig, DPOTrainer

    options = DPOConfig(
        output_dir=str(tmp_path), beta=0.1, report_to=[], use_cpu=True, per_device_train_batch_size=len(PAIRS),
        bf16=False,
    )  # fmt: skip
    rows = [dict(zip(("prompt", "chosen", "rejected"), pair, strict=True)) for pair in PAIRS]
    reference = tiny.new_llama(tokenizer, layers=2, width=32, heads=2, feed_forward=64, seed=5)
    policy = copy.deepcopy(model).train()
    return DPOTrainer(
        policy, reference, args=options, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )


def test_the_pairwise_loss_is_trls_dpo_loss(trainer):
    inputs = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    theirs = trainer.compute_loss(trainer.model, inputs)

    def example(row, is_preferred):
        length, mask = int(inputs["attention_mask"][row].sum()), inputs["completion_mask"][row].bool()
        ids, first = inputs["input_ids"][row, :length].tolist(), int(mask.int().argmax())
        found = Example(ids[:first], ids[first:])
        batch = collate([found], torch.device("cpu"))
        with torch.no_grad():
            reference = token_logprobs(trainer.ref_model, batch)[batch.completion].tolist()
        return Example(ids[:first], ids[first:], {}, reference, is_sample=not is_preferred, pair=row % len(PAIRS))

    # TRL's batch holds the preferred halves, then the rejected ones.
    rows = [example(row, is_preferred=row < len(PAIRS)) for row in range(2 * len(PAIRS))]
    batch = collate(rows, torch.device("cpu"))
    objective = pairwise.Objective(beta=0.1)
    total, _ = objective.total(token_logprobs(trainer.model, batch), batch)
    ours = (total / objective.count(batch)).detach()
    assert float(ours) == pytest.approx(float(theirs.detach()), abs=1e-5)
    assert float(ours) != pytest.approx(0.6931, abs=1e-3)  # ln 2, the loss where both policies agree


@pytest.mark.parametrize("per_token", [False, True], ids=["grpo", "tempo"])
def test_the_clipped_policy_gradient_by_sequences_is_trls_grpo_loss(model, tokenizer, tmp_path, per_token):
    from trl import GRPOConfig, GRPOTrainer

    options = GRPOConfig(
        output_dir=str(tmp_path), epsilon=0.2, beta=0.0, loss_type="grpo", report_to=[], use_cpu=True, bf16=False,
        per_device_train_batch_size=2, num_generations=2,
    )  # fmt: skip
    trainer = GRPOTrainer(
        copy.deepcopy(model), lambda **_: [0.0], args=options, processing_class=tokenizer,
        train_dataset=Dataset.from_list([{"prompt": PAIRS[0][0]}]),
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    prompt, *texts = (tokenizer(text)["input_ids"] for text in PAIRS[0])
    longest = max(map(len, texts))
    mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in texts])
    old = torch.randn(2, longest, generator=torch.Generator().manual_seed(3)) - 5.8  # ratios on both sides of the clip
    advantages = torch.tensor([[1.5], [-0.7]]) * (1 + torch.arange(longest) % 3 if per_token else torch.ones(longest))
    inputs = {
        "prompt_ids": torch.tensor([prompt] * 2), "prompt_mask": torch.ones(2, len(prompt), dtype=torch.long),
        "completion_ids": torch.tensor([ids + [0] * (longest - len(ids)) for ids in texts]), "completion_mask": mask,
        "advantages": advantages, "old_per_token_logps": old,
    }  # fmt: skip
    theirs = float(trainer._compute_loss(trainer.model, inputs).detach())

    rows = [
        Example(prompt, ids, {"reward": advantages[row, : len(ids)].tolist()}, old[row, : len(ids)].tolist(),
                is_sample=True)
        for row, ids in enumerate(texts)
    ]  # fmt: skip
    batch = collate(rows, torch.device("cpu"))
    objective = policy_gradient.Objective(clip=0.2, surrogate="ppo", normalisation="sequences")
    total, reports = objective.total(token_logprobs(trainer.model, batch), batch)
    assert float((total / objective.count(batch)).detach()) == pytest.approx(theirs, abs=1e-5)
    clipped, tokens = reports["clipped_fraction"]
    assert 0.2 < float(clipped / tokens) < 1  # else the clip would not be tested
