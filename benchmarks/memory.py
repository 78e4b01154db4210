"""Peak memory of every stage of preset `tiny` on so many rows, and on ten times as many.

    python benchmarks/memory.py               200 and 2,000 samples (two minutes)

Each stage is a process of its own, so the peak is the stage's, with Python and the libraries in it. Shards hold 32
rows and trainings make 3 updates: both are the same however many rows there are. The samples that the later stages read
are made (`material.py`), since a policy of 3 updates writes nothing that could be mended. `scale.py` goes to a million
samples in the two stages that must hold all of them.
"""

import argparse
import importlib
import json
import tempfile
from pathlib import Path
from typing import Any

from measure import Table, alone, machine, parsed_by, parser, peak, verdict
from plainly import call, outputs

SAMPLES, TIMES, SHARD, MOST = 4, 10, 32, 1.1  # a problem; rows; rows in a shard; growth that counts as none
PROBLEMS = 50
SETTINGS = (
    "warm_up.updates=3", "warm_up.check_every=3", "warm_up.check_problems=20", "warm_up.max_new_tokens=8",
    "sample.max_new_tokens=8", "train_reward_model.updates=3", "rewrite.max_new_tokens=8", "train_policy.updates=3",
    "evaluate.max_new_tokens=8", "measure_on=development",
    *(f"{stage}.shard_size={SHARD}" for stage in ("sample", "teach", "rewrite", "score", "evaluate")),
)  # fmt: skip


class Apart:
    """Runs stages as plain functions, each in a process of its own, and keeps their peaks in MiB, by stage."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed
        self.peaks: dict[str, float] = {}
        self.written: dict[str, dict[str, Path]] = {}

    def __call__(
        self, stage: str, options: Any, *, label: str | None = None, seeded: bool = True, **inputs: Path | None
    ) -> dict[str, Path]:
        name = label or stage
        out, task = self.root / name, self.root / f"{name}.json"
        out.mkdir(parents=True)
        given = {key: path for key, path in inputs.items() if path}
        paths = {key: str(path) for key, path in given.items()}
        told = {"stage": stage, "kind": type(options).__name__, "options": options.model_dump(mode="json")}
        task.write_text(json.dumps({**told, "inputs": paths, "out": str(out), "seed": self.seed}))
        self.peaks[name] = alone(__file__, "--stage", str(task))
        self.written[name] = outputs(out)
        if stage == "sample":
            replace_samples(out / "samples.parquet", given["problems"], given["policy"])
        if stage == "rewrite":  # by a GRM of 3 updates
            self.written[name]["rewrites"] = given["teacher_rewrites"]
        return self.written[name]


def replace_samples(samples: Path, problems: Path, policy_folder: Path) -> None:
    """Write wrong samples of the problems, each a reference solution with one digit changed."""
    from material import generated

    from models import policy
    from tasks.prompts import decode
    from tasks.records import read_table, stable_id, table, write_table

    tokenizer = policy.load_tokenizer(policy_folder)
    rows: list[dict[str, object]] = [
        {
            "sample_id": stable_id(problem["problem_id"], ids),
            "problem_id": problem["problem_id"],
            "prompt_ids": made.prompt,
            "completion_ids": ids,
            "completion": decode(tokenizer, ids),
            "finish_reason": "stop",
            "is_right": False,
        }
        for problem in read_table("problems", problems).iter_rows(named=True)
        for made in [generated(tokenizer, problem, SAMPLES)]
        for ids in made.samples
    ]
    write_table(table("samples", rows), "samples", samples)


def run_stage(task: dict[str, Any]) -> None:
    """Run one stage here, and print its peak."""
    options = getattr(importlib.import_module(f"tasks.{task['stage']}"), task["kind"])(**task["options"])
    inputs = {name: Path(path) for name, path in task["inputs"].items()}
    call(task["stage"], options, inputs, Path(task["out"]), task["seed"])
    print(json.dumps(peak()))


def peaks(problems: int, folder: Path) -> dict[str, float]:
    """Every stage's peak on so many problems."""
    from flows.config import load_config
    from flows.rlmec import method

    counts = (f"prepare.train_problems={problems}", f"prepare.development_problems={problems}")
    config = load_config("tiny", sets=[*SETTINGS, *counts, f"prepare.benchmark_problems={problems}"])
    run = Apart(folder, config.seed)
    method(run, config)
    return run.peaks


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--stage", type=Path, help=argparse.SUPPRESS)
    options = parsed_by(made)
    if options.stage:
        run_stage(json.loads(options.stage.read_text()))
        return
    few = 10 if options.small else PROBLEMS
    many = few * (2 if options.small else TIMES)
    with tempfile.TemporaryDirectory() as folder:
        first, second = (peaks(count, Path(folder, str(count))) for count in (few, many))
    about = (
        f"`python benchmarks/memory.py`, on {machine()}. Peak of a process for each stage, with {few} and {many} "
        f"problems of each split, {SAMPLES} samples each; a peak that grows by less than {MOST - 1:.0%} counts as one "
        "that does not grow."
    )
    columns = ("stage", f"{few * SAMPLES:,} samples", f"{many * SAMPLES:,} samples", "a sample more", "target", "met")
    table = Table("Memory", about, columns)
    for stage, before in first.items():
        after, more = second[stage], (many - few) * SAMPLES
        table.add(f"`{stage}`", f"{before:,.0f} MiB", f"{after:,.0f} MiB", f"{(after - before) * 1024 / more:,.1f} KiB",
                  f"{MOST:g} × at most", verdict(after / before, MOST, at_most=True))  # fmt: skip
    print(table.markdown())


if __name__ == "__main__":
    main()
