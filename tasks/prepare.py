"""Stage `prepare`: the problems to train on, to tune on and to be measured on, checked before all else.

A bad row is set aside with its reason (more than 5 % stop the run). Training problems that are asked twice
are kept once, and those that a benchmark or the development split asks too are dropped and listed in
overlap.parquet: a model must not be measured on what it was trained on. Near duplicates, such as the same story
with other numbers, are listed there and counted, and dropped only where `near_duplicates` says so.

    prepare(PrepareOptions(dataset="gsm8k", path="data/gsm8k", benchmarks=["test", "svamp"],
                           paths={"svamp": "data/svamp"}), {}, out, seed=0)
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import BaseModel, Field

from tasks import datasets, parts
from tasks.errors import UserError
from tasks.nearest import suggestion
from tasks.overlap import exact_overlap, near_overlap, without_duplicates
from tasks.progress import Log, counting, silent
from tasks.records import stable_id, table, write_table
from tasks.work import ALONE, Work


class PrepareOptions(BaseModel, extra="forbid", frozen=True):
    """Which problems; a limit takes a fixed subset, and a smaller limit takes a part of that subset."""

    dataset: str | list[str] | None = Field(
        "arithmetic",
        description="what is trained on: a dataset, several, or your own .jsonl, folder or .py; none only to evaluate",
    )
    path: str | None = Field(
        None,
        description="folder of the dataset's published files; of several or none, holds a folder by each's name. "
        "Unset, they come from the hub",
    )
    benchmarks: list[str] = Field(
        ["test", "hard", "big"],
        description="splits of the dataset, datasets (NAME is its test split, or NAME:SPLIT), or your own paths",
    )
    paths: dict[str, str] = Field({}, description="folder of the published files of a dataset, by its name")
    train_problems: int | None = Field(None, ge=1, description="at most so many training problems")
    development_problems: int | None = Field(None, ge=1, description="at most so many development problems")
    benchmark_problems: int | None = Field(None, ge=1, description="at most so many problems of each benchmark")
    near_duplicates: Literal["report", "drop", "off"] = Field(
        "report",
        description="list training problems that a benchmark or the development split nearly asks, "
        "list them and train without them, or do not look for them (of use where templates make all problems alike)",
    )
    near_duplicate_similarity: float = Field(
        70, gt=0, le=100, description="percent of their words that near duplicates have in common, in the same order"
    )

    def parts(self) -> list[str]:
        """The dotted names of the modules that read the data; UserError for a name that does not exist."""
        read = [*self.training, *(_benchmark_place(name, self)[0] for name in self.benchmarks)]
        return sorted({datasets.module_name(name) for name in read})

    @property
    def training(self) -> list[str]:
        """What is trained on, by name or path."""
        return [self.dataset] if isinstance(self.dataset, str) else self.dataset or []

    def folder(self, name: str) -> str | None:
        """Where the published files of a dataset lie; None for the hub, and for a path, which says so itself. UserError
        where `path` should hold a folder for each dataset and has none for this one: the hub's may be other data."""
        if name in self.paths or self.path is None or name == self.dataset:
            return self.paths.get(name, self.path)
        if isinstance(self.dataset, str):  # then `path` is that dataset's own
            return None
        below = Path(self.path).expanduser() / name
        if below.is_dir():
            return str(below)
        if name in datasets.names() and datasets.get(name).HUB:
            raise UserError(
                f"{below}: no such folder; the data path holds one for each dataset, with its published files"
            )
        return None

    def files(self) -> list[Path]:
        """The local files and folders that are read: what a content key of this stage must cover, too."""
        places = [(name, self.folder(name)) for name in self.training]
        places += [(name, path) for name, _, path in (_benchmark_place(name, self) for name in self.benchmarks)]
        local = [path or name for name, path in places if path or datasets.is_path(name)]
        return [Path(place).expanduser() for place in dict.fromkeys(local)]


def prepare(
    options: PrepareOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """Write the problems tables train, development and benchmarks, and rejected.jsonl and overlap.parquet.

    In the benchmarks table, `source` is the benchmark's name as `options` has it. Raises UserError for a
    dataset, split or file that is not there, for more than 5 % bad rows, and where nothing is left to train
    or measure on.
    """
    with counting("prepare", 2 * len(options.training) + len(options.benchmarks), "splits") as splits_read:
        training = _read_training(options, "train")
        splits_read.advance(len(training))
        tuning = _read_training(options, "development")
        splits_read.advance(len(tuning))
        measured = _read_benchmarks(options)
        splits_read.advance(len(measured))

    loaded = [*training, *tuning, *measured.values()]
    rejected = [row for part in loaded for row in part.rejected]
    train, development = together(training), together(tuning)
    benchmarks = {name: part.problems.with_columns(source=pl.lit(name)) for name, part in measured.items()}
    unique = without_duplicates(train)
    held_out = {**benchmarks, "development": development}
    stays, overlap = without_overlap(unique, held_out, options)

    kept = limit(stays, options.train_problems)
    development = limit(development, options.development_problems)
    benchmarks = {name: limit(problems, options.benchmark_problems) for name, problems in benchmarks.items()}
    write_table(kept, "problems", out / "train.parquet")
    write_table(development, "problems", out / "development.parquet")
    write_table(pl.concat(benchmarks.values()), "problems", out / "benchmarks.parquet")
    overlap.write_parquet(out / "overlap.parquet")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rejected]
    (out / "rejected.jsonl").write_text("".join(lines), encoding="utf-8")
    log({f"problems/{name}": problems.height for name, problems in benchmarks.items()})
    log(overlap_counts(overlap, list(held_out), options))
    log(
        {
            "problems/train": kept.height,
            "problems/development": development.height,
            "rejected": len(rejected),
            "duplicates": sum(part.repeats for part in training) + train.height - unique.height,
            "repeated_options": sum(part.repeated_options for part in loaded),
            "overlap": unique.height - stays.height,
        }
    )


def without_overlap(
    train: pl.DataFrame, held_out: Mapping[str, pl.DataFrame], options: PrepareOptions
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The training problems that stay, and the table of overlap; UserError where none stays."""
    overlap = exact_overlap(train, held_out)
    kept = train.join(overlap, on="problem_id", how="anti", maintain_order="left")
    hint = ""
    if options.near_duplicates != "off":
        near = near_overlap(kept, held_out, options.near_duplicate_similarity)
        overlap = pl.concat([overlap, near])
        if options.near_duplicates == "drop":
            kept = kept.join(near, on="problem_id", how="anti", maintain_order="left")
            hint = ", exactly or nearly: raise prepare.near_duplicate_similarity, or set prepare.near_duplicates=report"
    if kept.is_empty() and options.training:
        names = ", ".join(options.training)
        raise UserError(f"{names}: a benchmark or the development split asks every training problem{hint}")
    return kept, overlap


def overlap_counts(overlap: pl.DataFrame, names: list[str], options: PrepareOptions) -> dict[str, float]:
    """For each held-out table, taken whole: the training problems that it asks exactly (`exact`) and nearly (`near`),
    and those of its own problems that a training problem nearly asks (`nearly_asked`)."""
    counts: dict[str, float] = {}
    for name in names:
        exact, near = (overlap.filter(benchmark=name, kind=kind) for kind in ("exact", "near"))
        # The name stands in the middle, since a path that begins with ../ takes away what stands before it.
        counts[f"overlap/{name}/exact"] = exact["problem_id"].n_unique()
        if options.near_duplicates != "off":
            counts[f"overlap/{name}/near"] = near["problem_id"].n_unique()
            counts[f"overlap/{name}/nearly_asked"] = near["benchmark_problem_id"].n_unique()
    return counts


def limit(problems: pl.DataFrame, most: int | None) -> pl.DataFrame:
    """At most `most` of the problems, chosen by a hash of their ids, in the order that they had."""
    if most is None or problems.height <= most:
        return problems
    order = [stable_id("limit", problem_id) for problem_id in problems["problem_id"]]
    chosen = sorted(range(len(order)), key=order.__getitem__)[:most]
    return problems[sorted(chosen)]


def _read_training(options: PrepareOptions, split: str) -> list[datasets.Loaded]:
    """A split of each dataset that is trained on."""
    return [_read(name, split, options.folder(name)) for name in options.training]


def together(loaded: Sequence[datasets.Loaded]) -> pl.DataFrame:
    """The problems of several datasets as one table; of none, an empty one."""
    return pl.concat([table("problems", []), *(part.problems for part in loaded)])


def _read_benchmarks(options: PrepareOptions) -> dict[str, datasets.Loaded]:
    """Each benchmark's problems by its name."""
    if not options.benchmarks or len(set(options.benchmarks)) < len(options.benchmarks):
        raise UserError(f"benchmarks must be at least one, each named once, not {options.benchmarks}")
    return {name: _read(*_benchmark_place(name, options)) for name in options.benchmarks}


def _benchmark_place(name: str, options: PrepareOptions) -> tuple[str, str, str | None]:
    """Dataset, split and path of benchmark `name`: a split of the one training dataset, or of another."""
    own_splits: list[str] = []
    if isinstance(options.dataset, str):
        own_splits = [split for split in datasets.splits(options.dataset) if split not in ("train", "all")]
        if name in own_splits:
            return options.dataset, name, options.folder(options.dataset)
    if datasets.is_path(name):
        path = options.paths.get(name)
        file = Path(path or name).expanduser().resolve()
        trained_on = {Path(options.folder(other) or other).expanduser().resolve() for other in options.training}
        # A file of its own is a benchmark as a whole; the file that is trained on gives its test tenth.
        return name, "test" if file in trained_on or file.is_dir() else "all", path
    dataset, colon, split = name.partition(":")
    if dataset not in datasets.names() and not parts.is_file(dataset):
        raise UserError(f"no benchmark is named {name!r}: {suggestion(name, [*own_splits, *datasets.names()])}")
    return dataset, split if colon else "test", options.folder(dataset)


def _read(name: str, split: str, path: str | None) -> datasets.Loaded:
    """A split of a dataset; a UserError if over 5 % of its rows are bad, or no problem is left."""
    loaded = datasets.usable(datasets.read(name, split, path), name, split, path)
    if loaded.problems.is_empty():
        raise UserError(f"{path or name}: its {split} split has no problems")
    return loaded
