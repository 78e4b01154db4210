"""Your own problems: a .jsonl file, or a folder with train.jsonl and test.jsonl.

A line is {"question": ..., "solution": ..., "answer": ...}, with "options" (the choices in order) for a
choice problem and an "id" if you have one. An answer may be a number; a choice's answer is its text or its
letter. A solution that does not end in a line such as `The answer is 72.` gets one.

One file is split by a hash of the problem's id into train (80 %), development (10 %) and test (10 %), so a
row stays where it is when others are added; the split "all" is the whole file. In a folder, each split is
its own file (development may be named dev, validation or valid); a development file that is missing is a
tenth of train.jsonl, and with train.jsonl alone all three are parts of it.
"""

from collections.abc import Iterator
from pathlib import Path

from tasks.errors import UserError
from tasks.raw_rows import jsonl_rows
from tasks.records import stable_id

SOURCE = "your own file"
LICENCE = "yours"
HUB = None
SPLITS = ("train", "development", "test", "all")

FIELDS = ("question", "solution", "answer", "options", "id", "broken")
FILES = {
    "train": ("train.jsonl",),
    "development": ("development.jsonl", "dev.jsonl", "validation.jsonl", "valid.jsonl"),
    "test": ("test.jsonl",),
}


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) of the file that holds `split`, each with the split it belongs to."""
    if path is None:
        raise UserError("dataset jsonl needs the path of your .jsonl file or folder")
    file, carved = _file_of(split, path)
    for where, line in jsonl_rows(file):
        record = {name: line[name] for name in FIELDS if name in line}
        yield where, record | {"split": part_of(record, carved) if carved else split}


def part_of(record: dict[str, object], carved: tuple[str, ...]) -> str:
    """The one of `carved` that a row belongs to: by a hash of its id, or else of question and options."""
    given = record.get("id")
    options = record.get("options")
    key = stable_id(record.get("question"), options) if given is None else stable_id(str(given))
    tenth = int(key, 16) % 10
    names = {0: "test", 1: "development"}
    return names[tenth] if names.get(tenth) in carved else "train"


def _file_of(split: str, path: Path) -> tuple[Path, tuple[str, ...]]:
    """The file to read for `split`, and the splits carved out of it (none if it is the split's own)."""
    if not path.is_dir():
        return path, () if split == "all" else ("train", "development", "test")
    if split == "all":
        raise UserError(f"{path}: the split 'all' is for a single .jsonl file, and this is a folder")
    own = {part: next((path / name for name in FILES[part] if (path / name).is_file()), None) for part in FILES}
    missing = [part for part in FILES if own[part] is None]
    if "train" not in missing and "development" in missing and split in ("train", *missing):
        return path / "train.jsonl", ("train", *missing)
    if (found := own[split]) is None:
        raise UserError(f"{path}: there is no {' or '.join(FILES[split])} in this folder")
    return found, ()
