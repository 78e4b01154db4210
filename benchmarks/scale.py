"""Seconds and peak memory of what must hold a whole run's samples: `align`, and the loading of `train_policy`.

    python benchmarks/scale.py                          10 thousand and 100 thousand samples (a minute)
    python benchmarks/scale.py --rows 1000000

Tables of so many scored samples (20 prompt tokens, 16 to 32 completion tokens, half of
them wrong, each with a rewrite) are generated; every measurement is a process of its own. Memory that grows with the
rows, and rows a second that stay, say that a larger run takes more of the same and no more.
"""

import argparse
import importlib
import json
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
from measure import Table, alone, machine, parsed_by, parser, peak, seconds

from tasks.records import write_table

SIZES = (10_000, 100_000)
BATCHES = 200


def generate(folder: Path, rows: int) -> None:
    """The tables of `rows` scored samples, in id order."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(16, 33, rows)
    ids = pl.Series("sample_id", [f"{number:016x}" for number in range(rows)])
    completions = lists(draw.integers(0, 500, lengths.sum(), dtype=np.int32), lengths)
    wrong = pl.Series(np.arange(rows) % 2 == 1)
    samples = pl.DataFrame(
        {
            "sample_id": ids,
            "problem_id": ids,
            "prompt_ids": lists(draw.integers(0, 500, rows * 20, dtype=np.int32), np.full(rows, 20)),
            "completion_ids": completions,
            "is_right": ~wrong,
        }
    ).with_columns(
        completion=pl.lit(""), finish_reason=pl.lit("stop"), extracted_answer=pl.lit(""), ids_from_text=False
    )
    write_table(samples, "samples", folder / "samples.parquet")
    changed = completions.explode().to_numpy().copy()
    starts = np.cumsum(lengths) - lengths
    changed[starts + 5] += 1  # one replaced token a rewrite
    rewrites = pl.DataFrame({"sample_id": ids, "rewrite_ids": lists(changed, lengths)}).filter(wrong)
    rewrites = rewrites.with_columns(
        rewriter=pl.lit("grm"), located_step=1, rewrite=pl.lit(""), extracted_answer=pl.lit(""), is_right=pl.lit(True),
        edit_distance=1, edit_fraction=0.05, attempts=1, reject_reason=pl.lit(None, pl.String),
    )  # fmt: skip
    write_table(rewrites, "rewrites", folder / "rewrites.parquet")
    values = lists(draw.random(lengths.sum(), dtype=np.float32) - 0.5, lengths)
    scores = pl.DataFrame({"sample_id": ids, "probabilities": values, "rewards": values, "reference_logprobs": values})
    write_table(scores.with_columns(credit_source=pl.lit("grm")), "token_rewards", folder / "token_rewards.parquet")


def lists(values: np.ndarray, lengths: np.ndarray) -> pl.Series:
    """Flat values cut into lists of the given lengths."""
    flat = pl.DataFrame({"row": np.repeat(np.arange(len(lengths)), lengths), "values": values})
    return flat.group_by("row", maintain_order=True).agg("values")["values"]


def align_all(folder: Path, rows: int) -> None:
    from tasks.align import AlignOptions, align

    inputs = {name: folder / f"{name}.parquet" for name in ("samples", "rewrites")}
    align(AlignOptions(), inputs, folder)


def load_lessons(folder: Path, rows: int) -> None:
    """What `train_policy` reads before its first update, and the batches of 200 updates of 128 samples."""
    from material import material

    from tasks.lessons import Lessons
    from tasks.train_policy import TrainPolicyOptions, mixed_batches

    inputs = {name: folder / f"{name}.parquet" for name in ("samples", "rewrites", "edits", "token_rewards")}
    options = TrainPolicyOptions(wrong_share=0.4)
    lessons = Lessons(options, inputs, material("tiny", 1).tokenizer)
    for _ in islice(mixed_batches(lessons, options, 0), BATCHES):
        pass


STEPS: dict[str, Callable[[Path, int], None]] = {"align": align_all, "train_policy's loading": load_lessons}


def step(name: str, folder: Path, rows: int) -> None:
    """Do one step, and print its seconds and this process's peak in MiB, as JSON."""
    importlib.import_module("tasks.train_policy")  # a constant, which would hide the rate of few rows
    print(json.dumps([seconds(lambda: (STEPS.get(name) or generate)(folder, rows)), peak()]))


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, nargs="+", default=SIZES, help=f"samples (default: {SIZES})")
    made.add_argument("--step", nargs=3, metavar=("NAME", "FOLDER", "ROWS"), help=argparse.SUPPRESS)
    options = parsed_by(made)
    if options.step:
        name, folder, rows = options.step
        step(name, Path(folder), int(rows))
        return
    sizes = (1000,) if options.small else options.rows
    about = f"`python benchmarks/scale.py --rows {' '.join(map(str, sizes))}`, on {machine()}. One round each."
    table = Table("Many rows", about, ("", "samples", "seconds", "peak, MiB"))
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            alone(__file__, "--step", "generate", folder, str(rows))
            for name in STEPS:
                took, most = alone(__file__, "--step", name, folder, str(rows))
                table.add(name, f"{rows:,}", f"{took:.1f}", f"{most:,.0f}")
    print(table.markdown())


if __name__ == "__main__":
    main()
