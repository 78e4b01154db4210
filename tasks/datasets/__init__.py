"""Datasets and benchmarks: one module each, whose name is its key, and the one place that judges their rows.

    load("gsm8k", "test", path="data/gsm8k")     a table of problems (columns: tasks/records.py)
    load("my_problems.jsonl", "train")           a user's own file needs no module
    load("mine/shop.py", "train", path="data")   a module may lie anywhere

A dataset module has `SOURCE` (where it comes from), `LICENCE`, `HUB` (repository and configuration, or None),
`SPLITS`, `ROWS` (how many rows are published, by split, where that is known) and `rows(split, path)`, which
yields (where, record): `where` names the place for messages ("train.jsonl line 7"), and the record holds
question, solution, answer, and optionally options, subject and id. A loader never judges: what it cannot read
it yields as {"broken": reason}. A loader that carves several splits out of one file yields all its rows, each
with the split it belongs to in record["split"], so that bad rows are counted over the file. A module whose name
begins with an underscore is a part that several datasets share.

The text form: a solution is lines of steps and ends in a line that states its answer, `The answer is 72.`
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import polars as pl

from tasks import parts
from tasks.dataset_rows import Problem, Rejected, judge, repeats_an_option
from tasks.errors import UserError
from tasks.nearest import suggestion
from tasks.records import table

REJECTED_SHARE = 0.05  # of a split's rows (or of the file it is carved from): more than this stops


@dataclass(frozen=True)
class Loaded:
    """A split: its good rows in the problems schema, and what was set aside.

    `rejected` holds {dataset, split, where, reason} for each bad row. `repeats` counts rows that say word
    for word what an earlier row says; they are left out, but are no fault. `repeated_options` counts problems
    that list an option twice; they are kept. `total` and `all_rejected` are those of the whole file where
    several splits are carved out of it.
    """

    problems: pl.DataFrame
    rejected: list[dict[str, str]]
    repeats: int
    repeated_options: int
    total: int
    all_rejected: list[dict[str, str]]


def names() -> list[str]:
    """The keys of all datasets, in alphabetical order."""
    return parts.names(__name__)


def describe(name: str) -> str:
    """One line on dataset `name`: what it is, its splits with their rows where known, source and licence."""
    module = get(name)
    what = (module.__doc__ or "").strip().splitlines()[0].rstrip(".:")
    counts = getattr(module, "ROWS", {})
    splits = ", ".join(f"{split} {counts[split]}" if split in counts else split for split in module.SPLITS)
    return f"{what} [{splits}]; {module.SOURCE}; {module.LICENCE}"


def get(name: str) -> ModuleType:
    """The module of dataset `name`; UserError naming the nearest if there is none."""
    kind = "dataset" if parts.is_file(name) else "dataset (and no .jsonl file or folder)"
    return parts.get(__name__, name, kind)


def module_name(name: str) -> str:
    """The module that reads `name`, a dataset's key or a user's own path: its dotted name, or the path of its file."""
    return parts.module_name(__name__, "jsonl" if is_path(name) else name)


def is_path(name: str) -> bool:
    """Whether `name` is a user's own file or folder of rows, and not the key of a dataset or the path of a module (a
    benchmark may name a split of it after a colon)."""
    if name in names() or parts.is_file(name.partition(":")[0]):
        return False
    return name.endswith(".jsonl") or "/" in name or Path(name).exists()


def splits(name: str) -> tuple[str, ...]:
    """The splits that dataset `name` (a key or a path) has."""
    return tuple((get("jsonl") if is_path(name) else get(name)).SPLITS)


def load(name: str, split: str, path: str | Path | None = None) -> pl.DataFrame:
    """The problems of a split; a UserError if the dataset, split or file is not there, or over 5 % is bad.

    `name` is a key of `names()` or the path of a user's own .jsonl file or folder of them; `path` is the
    folder with the dataset's published files (None: from the hub, where the dataset is there).
    """
    return usable(read(name, split, path), name, split, path).problems


def usable(loaded: Loaded, name: str, split: str, path: str | Path | None) -> Loaded:
    """`loaded` itself; a UserError naming file, count and first reason if over 5 % of its rows are bad."""
    bad = loaded.all_rejected
    if len(bad) > REJECTED_SHARE * loaded.total:
        raise UserError(
            f"{path or name}: {len(bad)} of {loaded.total} rows for {split} cannot be used, at most 5 % may "
            f"be set aside; the first: {bad[0]['where']}: {bad[0]['reason']}"
        )
    return loaded


def read(name: str, split: str, path: str | Path | None = None) -> Loaded:
    """Every row of a split judged: problems, and the rejected rows with reasons, however many they are."""
    module, source, place = _resolve(name, path)
    if split not in module.SPLITS:
        raise UserError(f"{name} has no split {split!r}: {suggestion(split, module.SPLITS)}")
    problems: list[dict[str, object]] = []
    rejected: list[dict[str, str]] = []
    total = repeats = 0
    seen: dict[str, tuple[str, str]] = {}
    for where, record in _rows(module, split, place):
        total += 1
        its_split = str(record.get("split", split))
        verdict = _judge_next(record, source, where, seen)
        if isinstance(verdict, Rejected):
            rejected.append({"dataset": name, "split": its_split, "where": where, "reason": verdict.reason})
        elif its_split == split:
            repeats += verdict is None
            problems += [] if verdict is None else [{**verdict.row(), "source": source, "split": split}]
    own = [row for row in rejected if row["split"] == split]
    found = table("problems", problems)
    repeated_options = sum(map(repeats_an_option, found["options"].to_list()))
    return Loaded(found, own, repeats, repeated_options, total, rejected)


def _rows(module: ModuleType, split: str, path: Path | None) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The module's rows; a file that is not there, or not text, becomes a UserError."""
    try:
        yield from module.rows(split, path)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: there is no such file (dataset {split} split)") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _judge_next(
    record: Mapping[str, object], source: str, where: str, seen: dict[str, tuple[str, str]]
) -> Problem | Rejected | None:
    """The verdict on a row, given (where, answer) by id of the rows before it; None for a repeat."""
    problem = judge(record, source)
    if isinstance(problem, Rejected):
        return problem
    if problem.problem_id not in seen:
        seen[problem.problem_id] = where, problem.answer
        return problem
    earlier, answer = seen[problem.problem_id]
    if record.get("id") is not None:
        return Rejected(f"its id {record['id']!r} was already used by {earlier}")
    if answer != problem.answer:
        return Rejected(f"its question was already asked by {earlier} with another answer ({answer})")
    return None


def _resolve(name: str, path: str | Path | None) -> tuple[ModuleType, str, Path | None]:
    """The module that reads `name`, the source it writes in the table, and where it looks."""
    if is_path(name):
        name, path = "jsonl", path or name
    place = Path(path).expanduser() if path is not None else None
    # A user's file is known by its own name, so that it may lie anywhere.
    source = place.resolve().stem if name == "jsonl" and place else parts.short(name)
    return get(name), source, place
