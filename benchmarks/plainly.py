"""The method's stages as plain functions in a folder: no Prefect, no MLflow, no keys, no checkpoints. What the flow
takes longer than this is orchestration. (Shards stay, since rows that share a batch decide the last bits of sums, and
those in time the weights: without shards the two would not come to the same policy.)

    method(Plainly(folder, config.seed), config)
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.key import stage_seed


class Plainly:
    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed

    def __call__(
        self, stage: str, options: Any, *, label: str | None = None, seeded: bool = True, **inputs: Path | None
    ) -> dict[str, Path]:
        out = self.root / (label or stage)
        out.mkdir(parents=True)
        given = {name: path for name, path in inputs.items() if path}
        call(stage, options, given, out, stage_seed(self.seed if seeded else 0, stage))
        return outputs(out)


def call(stage: str, options: Any, inputs: Mapping[str, Path], out: Path, seed: int) -> None:
    """A stage's function, here."""
    function = getattr(importlib.import_module(f"tasks.{stage}"), stage)
    function(options, inputs, out, seed=seed)


def outputs(out: Path) -> dict[str, Path]:
    """What a stage has written, by name."""
    return {path.name.split(".")[0]: path for path in out.iterdir()}
