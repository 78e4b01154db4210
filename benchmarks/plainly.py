"""The method's stages as plain functions in a folder: no Prefect, no MLflow, no keys, no checkpoints. What the flow
takes longer than this is orchestration. (Shards stay, since rows that share a batch decide the last bits of sums, and
those in time the weights: without shards the two would not come to the same policy.)

    method(Plainly(folder, config.seed, workers=2), config)
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flows.key import stage_seed
from tasks.work import ALONE, Span, Work


class Plainly:
    """workers: how many shards are computed at once, in threads."""

    def __init__(self, root: Path, seed: int, workers: int) -> None:
        self.root, self.seed, self.workers = root, seed, workers

    def at_once(self, make: Callable[[Span], Span], spans: Sequence[Span]) -> Iterator[Span]:
        with ThreadPoolExecutor(self.workers) as pool:
            yield from pool.map(make, spans)

    def __call__(
        self, stage: str, options: Any, *, label: str | None = None, seeded: bool = True, **inputs: Path | None
    ) -> dict[str, Path]:
        out = self.root / (label or stage)
        out.mkdir(parents=True)
        given = {name: path for name, path in inputs.items() if path}
        work = Work(each=self.at_once, workers=self.workers) if self.workers > 1 else ALONE
        call(stage, options, given, out, stage_seed(self.seed if seeded else 0, stage), work)
        return outputs(out)


def call(stage: str, options: Any, inputs: Mapping[str, Path], out: Path, seed: int, work: Work = ALONE) -> None:
    """A stage's function, here."""
    function = getattr(importlib.import_module(f"tasks.{stage}"), stage)
    function(options, inputs, out, seed=seed, work=work)


def outputs(out: Path) -> dict[str, Path]:
    """What a stage has written, by name."""
    return {path.name.split(".")[0]: path for path in out.iterdir()}
