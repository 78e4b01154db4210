"""Published rows from a file or the Hugging Face hub, each with its place for messages."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tasks.errors import UserError
from tasks.records import stable_id

DEVELOPMENT_SHARE = 15  # one row in so many of a training file that has no development file beside it


def jsonl_rows(file: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield ("train.jsonl line 7", record) for each line that is not blank; the file is UTF-8."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if b"\0" in line:
                raise UserError(f"{file}: cannot be read (line {number} holds a null byte: this is no text in UTF-8)")
            if line.strip():
                yield f"{file.name} line {number}", parse_line(line)


def json_rows(file: Path) -> Iterator[tuple[str, object]]:
    """Yield ("test.json item 7", item) for each item of a list; a UserError if the file holds anything else."""
    try:
        published = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not valid JSON ({str(error)[:80]}); one list of objects was expected") from error
    if not isinstance(published, list):
        raise UserError(f"{file}: one list of objects was expected, and it holds a {type(published).__name__}")
    for number, item in enumerate(published, start=1):
        yield f"{file.name} item {number}", item


def parse_line(line: str | bytes) -> dict[str, object]:
    """One line of a .jsonl file as a record; one that is no JSON object comes as {"broken": reason}."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:  # bytes that are not UTF-8 are a ValueError, too
        return {"broken": f"not valid JSON ({str(error)[:80]})"}
    return record if isinstance(record, dict) else {"broken": "not a JSON object"}


def lacking(raw: object, fields: Iterable[str]) -> dict[str, object] | None:
    """{"broken": reason} for a row that lacks one of its published fields, and None for one that has them all."""
    if not isinstance(raw, Mapping):
        return {"broken": "not a JSON object"}
    if "broken" in raw:
        return dict(raw)
    if not (missing := [name for name in fields if raw.get(name) is None]):
        return None
    has = ", ".join(map(repr, list(raw)[:12]))
    return {"broken": f"field {missing[0]!r} is missing ({', '.join(fields)} were expected, and there is {has})"}


def carved(rows: Iterable[tuple[str, dict[str, object]]]) -> Iterator[tuple[str, dict[str, object]]]:
    """The rows of a training file, each with its split: one in 15 is for development.

    Which ones is told by a hash of the question, so that they are the same everywhere.
    """
    for where, record in rows:
        in_development = int(stable_id(record.get("question")), 16) % DEVELOPMENT_SHARE == 0
        yield where, record | {"split": "development" if in_development else "train"}


def hub_rows(hub: tuple[str, str | tuple[str, ...] | None], split: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield (where, row) of a split of a hub dataset (repository, configuration, or several one after the other).

    A UserError that asks for a local folder if it cannot be had: no network, no such dataset.
    """
    repository, configurations = hub
    for configuration in configurations if isinstance(configurations, tuple) else (configurations,):
        try:
            from datasets import load_dataset

            published = load_dataset(repository, configuration, split=split)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
            raise UserError(
                f"{repository} cannot be had from the hub ({reason}): give the folder of its published files as "
                "the data path"
            ) from error
        name = " ".join(part for part in (repository, configuration, split) if part)
        for number, row in enumerate(published, start=1):
            yield f"{name} row {number}", row
