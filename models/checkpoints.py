"""Checkpoints of a training run, so that one that was killed goes on where it was.

    checkpoints = Checkpoints(folder, every=100)
    for done, report in train(model, steps, …, checkpoints=checkpoints):

A checkpoint holds weights, optimiser, schedule, random states, and whatever else the caller names with
`state_dict` and `load_state_dict`; its position is the number of updates in its name. It is written under
another name and then renamed, so there is never half of one. Weights are safetensors; accelerate reads the rest
with torch's `weights_only`, which runs no code.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from accelerate import Accelerator

PREFIX = "updates-"


class Stateful(Protocol):
    """Anything that says what it is in tensors, numbers, texts, lists and dicts, and can be told so again."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class RandomStates:
    """The generators that a model in training may draw from (dropout). accelerate restores them, too, but goes
    on in silence where it cannot."""

    def state_dict(self) -> dict[str, Any]:
        version, words, gauss = random.getstate()
        return {
            "python": [version, list(words), gauss],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        version, words, gauss = state_dict["python"]
        random.setstate((version, tuple(words), gauss))
        torch.set_rng_state(state_dict["torch"].cpu())
        if state_dict["cuda"]:
            torch.cuda.set_rng_state_all([state.cpu() for state in state_dict["cuda"]])


class Checkpoints:
    """The newest checkpoint below `folder`, replaced after every `every` updates."""

    def __init__(self, folder: Path, every: int) -> None:
        self.folder, self.every = folder, every

    def register(self, accelerator: Accelerator, *others: Stateful) -> None:
        """Name what belongs to a checkpoint beside the model and optimiser that accelerate prepared."""
        accelerator.register_for_checkpointing(RandomStates(), *others)

    def restore(self, accelerator: Accelerator) -> int:
        """Load the newest checkpoint; return its number of updates, 0 without one."""
        found = self.found()
        if not found:
            return 0
        accelerator.load_state(str(found[-1]))
        return int(found[-1].name.removeprefix(PREFIX))

    def save(self, accelerator: Accelerator, done: int) -> None:
        """Commit the state after `done` updates, then drop older checkpoints."""
        older = self.found()
        partial = self.folder / "partial"
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(partial))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            os.replace(partial, self.folder / f"{PREFIX}{done:08d}")
            for folder in older:
                shutil.rmtree(folder)

    def found(self) -> Sequence[Path]:
        """The whole checkpoints that there are, oldest first."""
        return sorted(self.folder.glob(f"{PREFIX}*"))
