"""AdamW, or Muon for the matrices of a model's layers.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) makes every update of a matrix nearly orthogonal,
so that directions in which gradients are small are learnt as fast as others. It is for the matrices of layers alone:
embeddings, the output layer and all that is no matrix get AdamW's updates, as its author advises. At one learning rate
updates of both are of one size (Liu et al., 2025, arXiv 2502.16982).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim import AdamW, Muon, Optimizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from models.loop import Optimisation


def new_optimiser(model: PreTrainedModel, how: Optimisation) -> Optimizer:
    """The optimiser of a model's trained weights, with one learning rate and weight decay for all."""
    rate, decay = how.learning_rate, how.weight_decay
    trained = [weights for weights in model.parameters() if weights.requires_grad]
    if how.optimiser == "adamw":
        return AdamW(trained, lr=rate, weight_decay=decay)
    apart = tables(model)
    matrices = [weights for weights in trained if weights.ndim == 2 and id(weights) not in apart]
    others = [weights for weights in trained if weights.ndim != 2 or id(weights) in apart]
    muon = Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    return Together(muon, AdamW(others, lr=rate, weight_decay=decay)) if others else muon


def tables(model: PreTrainedModel) -> set[int]:
    """The ids of the weights with a row for each token or position."""
    modules = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    return {id(module.weight) for module in [*modules, model.get_output_embeddings()] if module is not None}


class Together(Optimizer):
    """Several optimisers as one, each with its own weights; it holds their settings and states."""

    def __init__(self, *parts: Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self) -> None:  # type: ignore[override]
        """Update all weights."""
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state  # loading a checkpoint makes both anew
            part.step()
