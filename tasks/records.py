"""The tables that pass between stages: their columns, and how they are written and read.

Every table is a Parquet file. It is written under a temporary name and then renamed, so a reader never
sees half a file, and its columns are checked on reading, so a table of another shape is named at once:

    write_table(frame, "samples", out / "samples.parquet")
    samples = read_table("samples", inputs["samples"])
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.errors import UserError

IDS = pl.List(pl.Int32)
ROWS_IN_GROUP = 4096  # of a Parquet file: what a reader that goes through it holds at once

SCHEMAS: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "problems": {
        "problem_id": pl.String,
        "question": pl.String,
        "solution": pl.String,
        "answer": pl.String,
        "options": pl.List(pl.String),  # null for a problem with a free answer
        "source": pl.String,
        "split": pl.String,
        "subject": pl.String,  # null where the dataset names none
    },
    "samples": {
        "sample_id": pl.String,
        "problem_id": pl.String,
        "prompt_ids": IDS,
        "completion_ids": IDS,  # ends with EOS exactly when finish_reason is "stop"
        "completion": pl.String,
        "finish_reason": pl.String,  # "stop" | "length"
        "extracted_answer": pl.String,
        "is_right": pl.Boolean,
        "ids_from_text": pl.Boolean,  # a server gave text alone: the ids are the tokenizer's, not those sampled
    },
    "rewrites": {
        "sample_id": pl.String,
        "rewriter": pl.String,
        "located_step": pl.Int32,  # 1-based line of the sample; null where none could be parsed
        "rewrite_ids": IDS,
        "rewrite": pl.String,
        "extracted_answer": pl.String,
        "is_right": pl.Boolean,
        "edit_distance": pl.Int32,  # token Levenshtein distance to the sample
        "edit_fraction": pl.Float64,  # edit_distance / max(len(sample), len(rewrite)), in 0..1
        "attempts": pl.Int32,
        "reject_reason": pl.String,  # null for an accepted rewrite
    },
    "edits": {
        "sample_id": pl.String,
        "kinds": pl.List(pl.String),  # "replace" | "insert" | "delete"
        "source_positions": IDS,
        "target_positions": IDS,
        "sample_edited": pl.List(pl.Boolean),
        "rewrite_edited": pl.List(pl.Boolean),
    },
    "token_rewards": {
        "sample_id": pl.String,
        "credit_source": pl.String,
        "probabilities": pl.List(pl.Float32),  # p_t; null from a credit source that has none
        "rewards": pl.List(pl.Float32),
        "reference_logprobs": pl.List(pl.Float32),
    },
    "pairs": {
        "sample_id": pl.String,
        "sample_logprobs": pl.List(pl.Float32),  # log π_ref of the sample's and of its rewrite's tokens
        "rewrite_logprobs": pl.List(pl.Float32),
        "sample_rewards": pl.List(pl.Float32),  # credit of their tokens; null where no credit source was asked
        "rewrite_rewards": pl.List(pl.Float32),
    },
    "predictions": {
        "benchmark": pl.String,
        "problem_id": pl.String,
        "number": pl.Int32,  # 0-based, of the problem's completions
        "completion": pl.String,
        "extracted_answer": pl.String,
        "is_right": pl.Boolean,
    },
}


LATER = {
    "problems": ("subject",),
    "samples": ("ids_from_text",),
    "pairs": ("sample_rewards", "rewrite_rewards"),
}  # columns that tables of an earlier version lack: read as nulls


def stable_id(*parts: object) -> str:
    """16 hexadecimal digits that depend on the parts' values alone: the same in every run, on every machine."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def table(name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    """A frame of table `name` from row dicts, with the columns' types even where there are no rows."""
    return pl.DataFrame(rows, schema=SCHEMAS[name], strict=False, orient="row")


def write_table(frame: pl.DataFrame, name: str, path: Path) -> None:
    """Write `frame` as table `name`: columns selected and cast to the schema, then renamed into place."""
    schema: Mapping[str, pl.DataType | type[pl.DataType]] = SCHEMAS[name]
    frame = frame.select(pl.col(column).cast(kind) for column, kind in schema.items())
    partial = path.with_name(f".{path.name}.partial")
    frame.write_parquet(partial, row_group_size=ROWS_IN_GROUP)
    os.replace(partial, path)


def read_table(
    name: str, path: Path, columns: list[str] | None = None, rows: tuple[int, int] | None = None
) -> pl.DataFrame:
    """Read table `name`, some of its columns, or rows first … end − 1; a UserError names the file and the column
    that is missing or of another type."""
    first, end = rows or (0, None)
    return scan_table(name, path, columns).slice(first, None if end is None else end - first).collect()


def scan_table(name: str, path: Path, columns: list[str] | None = None) -> pl.LazyFrame:
    """As `read_table`, but only the columns are looked at now: what is made of it need not hold all rows."""
    try:
        found = pl.scan_parquet(path)
        lacking = [column for column in LATER.get(name, ()) if column not in found.collect_schema()]
        found = found.with_columns(pl.lit(None, SCHEMAS[name][column]).alias(column) for column in lacking)
        chosen = found.select(columns or pl.all())
        schema = chosen.collect_schema()
    except (FileNotFoundError, pl.exceptions.ComputeError, pl.exceptions.ColumnNotFoundError) as error:
        raise UserError(f"{path}: cannot be read as a table of {name} ({error})") from error
    for column in columns or SCHEMAS[name]:
        kind, held = SCHEMAS[name][column], schema.get(column)
        if held != kind:
            raise UserError(f"{path}: column {column!r} of {name} should be {kind}, but is {held}")
    return chosen


Keep = Callable[[pl.LazyFrame], pl.LazyFrame]


def whole(part: pl.LazyFrame) -> pl.LazyFrame:
    """All rows."""
    return part


def join_tables(name: str, parts: Sequence[Path], path: Path, keep: Keep = whole) -> None:
    """Write the rows that `keep` leaves of each part, one part after the other, as table `name`. No more than a few
    parts are in memory, and the same parts give the same bytes, however many threads polars has."""
    partial = path.with_name(f".{path.name}.partial")
    joined = pl.concat([keep(scan_table(name, part)) for part in parts])
    joined.sink_parquet(partial, row_group_size=ROWS_IN_GROUP)
    os.replace(partial, path)


def derive_seed(seed: int, *parts: object) -> int:
    """A seed below 2**63 for one stage, row or shard, from the run's seed and names: never from time or order."""
    return int(stable_id(seed, *parts), 16) >> 1


class ById(Mapping[str, dict[str, Any]]):
    """The frame's rows by an id column, in the frame's order: made into dicts, which take ten times the memory, when
    they are asked for."""

    def __init__(self, frame: pl.DataFrame, column: str) -> None:
        self.frame = frame
        self.places = {row_id: place for place, row_id in enumerate(frame[column])}

    def __getitem__(self, row_id: str) -> dict[str, Any]:
        return self.frame.row(self.places[row_id], named=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def problems_of(samples: pl.DataFrame, problems: Path) -> ById:
    """The problems of some samples, by problem_id, from the whole table of problems."""
    return ById(among(scan_table("problems", problems), samples, "problem_id"), "problem_id")


def among(table: pl.LazyFrame, frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows of a table whose id is in a column of `frame`, in the table's order."""
    wanted = frame.lazy().select(pl.col(column).unique())
    return table.join(wanted, on=column, how="semi", maintain_order="left").collect(engine="streaming")


def wrong_ids(samples: Path) -> pl.DataFrame:
    """(sample_id) of the wrong samples, sorted. Ids are hashes, so the first of them are a fair draw that does not
    change when samples are added elsewhere."""
    found = scan_table("samples", samples, ["sample_id", "is_right"]).filter(~pl.col("is_right"))
    return found.select("sample_id").collect(engine="streaming").sort("sample_id")


def wrong_samples(samples: Path, rows: tuple[int, int]) -> pl.DataFrame:
    """Rows first … end − 1 of the wrong samples in the order of their ids."""
    first, end = rows
    return among(scan_table("samples", samples), wrong_ids(samples)[first:end], "sample_id").sort("sample_id")


def accepted_rewrites(rewrites: Path, columns: list[str]) -> pl.LazyFrame:
    """These columns of the accepted rewrites."""
    found = scan_table("rewrites", rewrites, [*columns, "reject_reason"])
    return found.filter(pl.col("reject_reason").is_null()).drop("reject_reason")


def rewritten_samples(inputs: Mapping[str, Path], columns: list[str], rows: tuple[int, int]) -> pl.DataFrame:
    """(sample_id, rewrite_ids, rewrite) of accepted rewrites first … end − 1, in the rewrites' order, and these columns
    of its sample. inputs: samples, rewrites."""
    first, end = rows
    rewrites = accepted_rewrites(inputs["rewrites"], ["sample_id", "rewrite_ids", "rewrite"])
    kept = rewrites.slice(first, end - first).collect(engine="streaming")
    samples = among(scan_table("samples", inputs["samples"], ["sample_id", *columns]), kept, "sample_id")
    return kept.join(samples, on="sample_id", how="left", validate="1:1", maintain_order="left")


def count(table: pl.LazyFrame) -> int:
    """How many rows there are."""
    return int(table.select(pl.len()).collect(engine="streaming").item())


def mean(values: pl.Series) -> float:
    """The mean of numbers or of true and false, 0 of nothing."""
    return float(values.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
