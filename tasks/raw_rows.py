"""Published rows from a .jsonl file or the Hugging Face hub, each with its place for messages."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tasks.errors import UserError


def jsonl_rows(file: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield ("train.jsonl line 7", record) for each line that is not blank; the file is UTF-8."""
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield f"{file.name} line {number}", parse_line(line)


def parse_line(line: str) -> dict[str, object]:
    """One line of a .jsonl file as a record; one that is no JSON object comes as {"broken": reason}."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"broken": f"not valid JSON ({str(error)[:80]})"}
    return record if isinstance(record, dict) else {"broken": "not a JSON object"}


def hub_rows(hub: tuple[str, str | None], split: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield (where, row) of a split of a hub dataset (repository, configuration).

    A UserError that asks for a local folder if it cannot be had: no network, no such dataset.
    """
    repository, configuration = hub
    try:
        from datasets import load_dataset

        published = load_dataset(repository, configuration, split=split)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise UserError(
            f"{repository} cannot be had from the hub ({reason}): give the folder of its published files as "
            "the data path"
        ) from error
    for number, row in enumerate(published, start=1):
        yield f"{repository} {split} row {number}", row
