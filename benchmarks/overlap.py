"""Pairs a second and peak memory of the search for near duplicates between GSM8K's training problems and benchmarks.

    RLMEC_DATA=/path/to/data python benchmarks/overlap.py

RLMEC_DATA is a folder that holds a folder of published files for each dataset, by its name. Every dataset that has a
test split there is a benchmark; the table says of each how many training problems and how many of its own have a near
duplicate on the other side, at the threshold that stage `prepare` takes if it is told nothing.
"""

import os
import time
from pathlib import Path

import polars as pl
from measure import peak

from tasks import datasets
from tasks.errors import UserError
from tasks.overlap import near_overlap
from tasks.prepare import PrepareOptions


def benchmarks(data: Path) -> dict[str, pl.DataFrame]:
    """The test split of every dataset whose files lie below `data`."""
    found = {}
    for name in datasets.names():
        if (data / name).is_dir() and "test" in datasets.splits(name):
            try:
                found[name] = datasets.load(name, "test", data / name)
            except UserError as error:
                print(f"{name}: left out ({error})")
    return found


def main() -> None:
    data = Path(os.environ.get("RLMEC_DATA", ""))
    if not (data / "gsm8k").is_dir():
        raise SystemExit("RLMEC_DATA names no folder that holds gsm8k")
    train = pl.concat([datasets.load("gsm8k", split, data / "gsm8k") for split in ("train", "development")])
    threshold = PrepareOptions().near_duplicate_similarity
    before, all_pairs, all_seconds = peak(), 0, 0.0
    for name, problems in benchmarks(data).items():
        started = time.perf_counter()
        near = near_overlap(train, {name: problems}, threshold)
        seconds = time.perf_counter() - started
        pairs = train.height * problems.height
        all_pairs, all_seconds = all_pairs + pairs, all_seconds + seconds
        ours, theirs = near["problem_id"].n_unique(), near["benchmark_problem_id"].n_unique()
        print(f"{name}: {pairs:,} pairs, {pairs / seconds:,.0f} a second; near: {ours} training, {theirs} of its own")
    print(f"all: {all_pairs:,} pairs in {all_seconds:.1f} s, {all_pairs / max(all_seconds, 1e-9):,.0f} a second")
    print(f"peak {peak():,.0f} MiB, of which {before:,.0f} before the search")


if __name__ == "__main__":
    main()
