"""Checkpoints of a training run, so that one that was killed goes on where it was.

    checkpoints = Checkpoints(folder, every=100)
    for done, report in train(model, steps, …, checkpoints=checkpoints):

A checkpoint holds the weights that are trained, optimiser, schedule, each process's random states, and whatever else
the caller names with `state_dict` and `load_state_dict`; its position is the number of updates in its name. It is
written under another name and then renamed, so there is never half of one. Weights are safetensors; the rest is read
with torch's `weights_only`, which runs no code. Of several processes the first writes, and what it writes is whole: a
run may go on with another number of processes.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from models import processes
from models.deferred import torch
from models.sharding import collected, like

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PREFIX = "updates-"
WEIGHTS, STATES = "model.safetensors", "states.pt"


class Stateful(Protocol):
    """Anything that says what it is in tensors, numbers, texts, lists and dicts, and can be told so again."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class RandomStates:
    """The generators of a process that a model in training may draw from (dropout)."""

    def state_dict(self) -> dict[str, Any]:
        version, words, gauss = random.getstate()
        return {
            "python": [version, list(words), gauss],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        version, words, gauss = state_dict["python"]
        random.setstate((version, tuple(words), gauss))
        torch.set_rng_state(state_dict["torch"].cpu())
        if state_dict["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(state_dict["cuda"].cpu())


class Checkpoints:
    """The newest checkpoint below `folder`, replaced after every `every` updates."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def register(self, model: PreTrainedModel, optimiser: torch.optim.Optimizer, *others: Stateful) -> None:
        """Name what belongs to a checkpoint."""
        self.weights = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
        self.optimiser, self.others = optimiser, others

    def restore(self) -> int:
        """Load the newest checkpoint; return its number of updates, 0 without one."""
        from safetensors.torch import load_file

        found = self.found()
        if not found:
            return 0
        saved = load_file(found[-1] / WEIGHTS)
        with torch.no_grad():
            for name, weights in self.weights.items():
                weights.copy_(like(saved[name], weights))
        states = torch.load(found[-1] / STATES, map_location="cpu", weights_only=True)
        optimiser = states["optimiser"]
        order = [weights for group in self.optimiser.param_groups for weights in group["params"]]
        for number, state in optimiser["state"].items():
            weights = order[number]
            state |= {name: like(value, weights) for name, value in state.items() if value.shape == weights.shape}
        self.optimiser.load_state_dict(optimiser)
        for other, state in zip(self.others, states["others"], strict=True):
            other.load_state_dict(state)
        if processes.rank() < len(states["random"]):  # else there were fewer processes, and this one draws its own
            RandomStates().load_state_dict(states["random"][processes.rank()])
        return int(found[-1].name.removeprefix(PREFIX))

    def save(self, done: int) -> None:
        """Commit the state after `done` updates, then drop older checkpoints."""
        from safetensors.torch import save_file

        weights = {name: collected(weights) for name, weights in self.weights.items()}
        optimiser = self.optimiser.state_dict()
        optimiser["state"] = {
            number: {name: collected(value) for name, value in state.items()}
            for number, state in optimiser["state"].items()
        }
        drawn = processes.gathered(RandomStates().state_dict())
        if processes.rank() == 0:
            older, partial = self.found(), self.folder / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            save_file(weights, partial / WEIGHTS)
            others = [other.state_dict() for other in self.others]
            torch.save({"optimiser": optimiser, "others": others, "random": drawn}, partial / STATES)
            os.replace(partial, self.folder / f"{PREFIX}{done:08d}")
            for folder in older:
                shutil.rmtree(folder)
        processes.wait()

    def found(self) -> Sequence[Path]:
        """The whole checkpoints that there are, oldest first."""
        return sorted(self.folder.glob(f"{PREFIX}*"))
