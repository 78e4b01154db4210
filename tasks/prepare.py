"""Stage `prepare`: the problems to train on, to tune on and to be measured on, checked before all else.

A bad row is set aside with its reason (more than 5 % stop the run). Training problems that are asked twice
are kept once, and those that a benchmark or the development split asks too are dropped and listed in
overlap.parquet: a model must not be measured on what it was trained on.

    prepare(PrepareOptions(dataset="gsm8k", path="data/gsm8k", benchmarks=["test", "svamp"],
                           paths={"svamp": "data/svamp"}), {}, out, seed=0)
"""

import difflib
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from pydantic import BaseModel, Field

from tasks import datasets
from tasks.errors import UserError
from tasks.progress import Log, counting, silent
from tasks.records import stable_id, write_table
from tasks.work import ALONE, Work

OVERLAP = {"problem_id": pl.String, "benchmark": pl.String, "benchmark_problem_id": pl.String}


class PrepareOptions(BaseModel, extra="forbid", frozen=True):
    """Which problems; a limit takes a fixed subset, and a smaller limit takes a part of that subset."""

    dataset: str = Field("arithmetic", description="name of a dataset, or path of your own .jsonl file or folder")
    path: str | None = Field(None, description="folder of the dataset's published files (none: from the hub)")
    benchmarks: list[str] = Field(
        ["test", "hard", "big"],
        description="splits of the dataset, names of other datasets, or your own paths",
    )
    paths: dict[str, str] = Field({}, description="folder of the published files of a benchmark, by its name")
    train_problems: int | None = Field(None, ge=1, description="at most so many training problems")
    development_problems: int | None = Field(None, ge=1, description="at most so many development problems")
    benchmark_problems: int | None = Field(None, ge=1, description="at most so many problems of each benchmark")

    def parts(self) -> list[str]:
        """The dotted names of the modules that read the data; UserError for a name that does not exist."""
        read = [self.dataset, *(_benchmark_place(name, self)[0] for name in self.benchmarks)]
        return sorted({datasets.module_name(name) for name in read})

    def files(self) -> list[Path]:
        """The local files and folders that are read: what a content key of this stage must cover, too."""
        places = [(self.dataset, self.path)]
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
    with counting("prepare", 2 + len(options.benchmarks), "splits") as splits_read:
        training = _read(options.dataset, "train", options.path)
        splits_read.advance()
        tuning = _read(options.dataset, "development", options.path)
        splits_read.advance()
        measured = _read_benchmarks(options)
        splits_read.advance(len(measured))

    loaded = [training, tuning, *measured.values()]
    rejected = [row for part in loaded for row in part.rejected]
    train, development = training.problems, tuning.problems
    benchmarks = {name: part.problems.with_columns(source=pl.lit(name)) for name, part in measured.items()}
    unique = without_duplicates(train)
    overlap = find_overlap(unique, {**benchmarks, "development": development})
    kept = unique.join(overlap, on="problem_id", how="anti", maintain_order="left")
    if kept.is_empty():
        raise UserError(f"{options.dataset}: a benchmark or the development split asks every training problem")

    kept = limit(kept, options.train_problems)
    development = limit(development, options.development_problems)
    benchmarks = {name: limit(problems, options.benchmark_problems) for name, problems in benchmarks.items()}
    write_table(kept, "problems", out / "train.parquet")
    write_table(development, "problems", out / "development.parquet")
    write_table(pl.concat(benchmarks.values()), "problems", out / "benchmarks.parquet")
    overlap.write_parquet(out / "overlap.parquet")
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rejected]
    (out / "rejected.jsonl").write_text("".join(lines), encoding="utf-8")
    log({f"problems/{name}": problems.height for name, problems in benchmarks.items()})
    log(
        {
            "problems/train": kept.height,
            "problems/development": development.height,
            "rejected": len(rejected),
            "duplicates": training.repeats + train.height - unique.height,
            "repeated_options": sum(part.repeated_options for part in loaded),
            "overlap": overlap["problem_id"].n_unique(),
        }
    )


def question_key(question: str, options: list[str] | None) -> str:
    """The same for problems that ask the same: case, spaces, Unicode forms and order of options aside."""
    texts = [" ".join(unicodedata.normalize("NFKC", text).casefold().split()) for text in (question, *(options or ()))]
    return stable_id(texts[0], sorted(texts[1:]))


def without_duplicates(problems: pl.DataFrame) -> pl.DataFrame:
    """`problems` with the first of those that ask the same."""
    return _with_key(problems).unique("key", keep="first", maintain_order=True).drop("key")


def find_overlap(train: pl.DataFrame, held_out: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The training problems that a held-out table asks too: (problem_id, benchmark, benchmark_problem_id)."""
    train_keys = _with_key(train).select("problem_id", "key")
    found = [pl.DataFrame(schema=OVERLAP)]
    for name, problems in held_out.items():
        others = _with_key(problems).select("key", benchmark=pl.lit(name), benchmark_problem_id="problem_id")
        found.append(train_keys.join(others, on="key", maintain_order="left_right").select(*OVERLAP))
    return pl.concat(found)


def limit(problems: pl.DataFrame, most: int | None) -> pl.DataFrame:
    """At most `most` of the problems, chosen by a hash of their ids, in the order that they had."""
    if most is None or problems.height <= most:
        return problems
    order = [stable_id("limit", problem_id) for problem_id in problems["problem_id"]]
    chosen = sorted(range(len(order)), key=order.__getitem__)[:most]
    return problems[sorted(chosen)]


def _read_benchmarks(options: PrepareOptions) -> dict[str, datasets.Loaded]:
    """Each benchmark's problems by its name."""
    if not options.benchmarks or len(set(options.benchmarks)) < len(options.benchmarks):
        raise UserError(f"benchmarks must be at least one, each named once, not {options.benchmarks}")
    return {name: _read(*_benchmark_place(name, options)) for name in options.benchmarks}


def _benchmark_place(name: str, options: PrepareOptions) -> tuple[str, str, str | None]:
    """Dataset, split and path of benchmark `name`: a split of the training dataset, or another's test."""
    own_splits = [split for split in datasets.splits(options.dataset) if split not in ("train", "all")]
    if name in own_splits:
        return options.dataset, name, options.path
    path = options.paths.get(name)
    if datasets.is_path(name):
        file = Path(path or name).expanduser()
        is_training_file = file.resolve() == Path(options.path or options.dataset).expanduser().resolve()
        # A file of its own is a benchmark as a whole; the file that is trained on gives its test tenth.
        return name, "test" if is_training_file or file.is_dir() else "all", path
    if name not in datasets.names():
        known = [*own_splits, *datasets.names()]
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"
        raise UserError(f"no benchmark is named {name!r}: {hint}")
    return name, "test", path


def _read(name: str, split: str, path: str | None) -> datasets.Loaded:
    """A split of a dataset; a UserError if over 5 % of its rows are bad, or no problem is left."""
    loaded = datasets.usable(datasets.read(name, split, path), name, split, path)
    if loaded.problems.is_empty():
        raise UserError(f"{path or name}: its {split} split has no problems")
    return loaded


def _with_key(problems: pl.DataFrame) -> pl.DataFrame:
    keys = [question_key(*row) for row in problems.select("question", "options").iter_rows()]
    return problems.with_columns(key=pl.Series(keys, dtype=pl.String))
