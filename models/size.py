"""How large a model is, from its configuration alone: nothing is loaded, and no memory taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.deferred import torch

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

WEIGHT_BYTES = 4  # a parameter that is not trained, in fp32
TRAINING_BYTES = 16  # a parameter: fp32 weights, gradients, and AdamW's two moments


def parameter_count(config: PreTrainedConfig) -> int:
    """The parameters of a causal language model of this configuration; tied weights count once."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return sum(weights.numel() for weights in model.parameters())


def forward_flops(parameters: int, tokens: float) -> float:
    """Floating-point operations of a forward pass, 2 a parameter and token (Kaplan et al., 2020, arXiv 2001.08361,
    table 1, without attention's own)."""
    return 2.0 * parameters * tokens


def training_flops(parameters: int, tokens: float) -> float:
    """Those of a forward and a backward pass: 6 a parameter and token."""
    return 3 * forward_flops(parameters, tokens)
