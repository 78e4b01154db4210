"""What models find likely: those that a credit source reads, beside the policy, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks.credit import Request
from tasks.prompts import check_same_tokens

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def examples_of(samples: Sequence[Mapping[str, Any]]) -> list[Example]:
    """The samples behind the prompts that they were drawn from."""
    return [Example(sample["prompt_ids"], sample["completion_ids"]) for sample in samples]


def model_of(request: Request, name: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model of an input, and its tokenizer; UserError where that is not the policy's."""
    model, tokenizer = policy.shared(request.inputs[name], request.at)
    if name != "policy":
        policys = policy.shared_tokenizer(request.inputs["policy"])
        check_same_tokens(tokenizer, policys, f"the {name.replace('_', ' ')}")
    return model, tokenizer


def logprobs_of(request: Request, name: str, examples: Sequence[Example]) -> list[Tensor]:
    """log p of each example's completion tokens under the model of an input, (n,) fp32 each."""
    model, _ = model_of(request, name)
    found = dict(completion_logprobs(model, examples, request.batch_size))
    return [found[row] for row in range(len(examples))]


def log_ratios(request: Request, samples: Sequence[Mapping[str, Any]]) -> list[Tensor]:
    """log π_φ(y_t) − log π_ref(y_t) of each sample, (n,): of the input credit_model to the policy."""
    examples = examples_of(samples)
    both = (logprobs_of(request, name, examples) for name in ("credit_model", "policy"))
    return [ours - theirs for ours, theirs in zip(*both, strict=True)]


def to_the_end(rewards: Tensor) -> Tensor:
    """The sum of each token's reward and of those after it, (n,) in and out."""
    return rewards.flip(0).cumsum(0).flip(0)
