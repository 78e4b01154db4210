"""How an unfinished stage keeps what it has done: shards of a table, and checkpoints of a training run.

A stage that goes through many rows is cut into shards. Each becomes a small table in the working folder, written
under another name and then renamed, so a kill loses only the shards in progress, and the next start goes on with
those that are missing. A stage gives `Work.table` a function from a span of rows to their part of the table:

    make = partial(score_shard, options, inputs)
    scores = work.table(out / "token_rewards.parquet", 4000, 128, make, "score", log)

What a shard holds depends on its span alone, so the table does not depend on how often the work was interrupted,
nor on how many threads, processes or machines shared it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from models import policy
from models.checkpoints import Checkpoints
from models.deferred import torch
from tasks.progress import Log, counting
from tasks.records import join_tables, scan_table, table, write_table


class Span(NamedTuple):
    """Rows first, first + 1, …, end − 1."""

    first: int
    end: int


def spans(rows: int, size: int) -> list[Span]:
    """`rows` rows in spans of `size`, the last one shorter: spans(5, 2) is (0, 2), (2, 4), (4, 5)."""
    return [Span(first, min(first + size, rows)) for first in range(0, rows, size)]


class Each(Protocol):
    """Who computes the shards: calls `make` with every span, and yields the spans as they are done."""

    def __call__(self, make: Callable[[Span], Span], spans: Sequence[Span]) -> Iterator[Span]: ...


def in_turn(make: Callable[[Span], Span], spans: Sequence[Span]) -> Iterator[Span]:
    """One shard after the other, here."""
    return map(make, spans)


@dataclass(frozen=True)
class Work:
    """A stage's working folder (None: nothing is kept, as in a notebook), and who computes its shards.

    checkpoint_every: updates between two checkpoints of a training run. lasting: a folder for what was paid for and
    outlives the stage (None: such things are thrown away, too). sharded: of several processes that train, each keeps
    but its part of the weights. workers: how many shards `each` computes at once, with equal parts of torch's threads.
    """

    folder: Path | None = None
    each: Each = in_turn
    checkpoint_every: int = 100
    lasting: Path | None = None
    sharded: bool = False
    workers: int = 1

    def table(
        self, path: Path, rows: int, size: int, make: Callable[[Span], pl.DataFrame], label: str, log: Log
    ) -> pl.LazyFrame:
        """Write the table that the file `path` is named after, from the parts that `make` makes of spans of `size`
        rows, in the order of rows. It is returned to be read from there: it may be larger than the memory.

        Logs shards, and shards_resumed: how many of them were there already.
        """
        with self.parts(path.stem, rows, size, make, label, log) as parts:
            join_tables(path.stem, parts, path)
        return scan_table(path.stem, path)

    @contextmanager
    def parts(
        self, name: str, rows: int, size: int, make: Callable[[Span], pl.DataFrame], label: str, log: Log
    ) -> Iterator[list[Path]]:
        """The files of `table`'s parts, in order: an empty one where there are no rows."""
        with self._place() as folder:
            wanted = spans(rows, size)
            missing = [span for span in wanted if not part(folder, name, span).is_file()]
            log({"shards": len(wanted), "shards_resumed": len(wanted) - len(missing)})
            cores = torch.get_num_threads()
            threads = max(1, cores // self.workers)
            try:
                with counting(label, rows) as counter:
                    counter.skip(rows - sum(span.end - span.first for span in missing))
                    for span in self.each(partial(commit_shard, make, folder, name, threads), missing):
                        counter.advance(span.end - span.first)
            finally:
                torch.set_num_threads(cores)  # a shard that was computed in this thread has changed it
            policy.forget_shared()
            if not wanted:
                wanted = [Span(0, 0)]
                write_table(table(name, []), name, part(folder, name, wanted[0]))
            yield [part(folder, name, span) for span in wanted]

    @contextmanager
    def _place(self) -> Iterator[Path]:
        if self.folder is None:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
        else:
            yield self.folder

    @property
    def checkpoints(self) -> Checkpoints | None:
        """The checkpoints of the stage's training run."""
        return Checkpoints(self.folder, self.checkpoint_every) if self.folder else None


ALONE = Work()


def commit_shard(make: Callable[[Span], pl.DataFrame], folder: Path, name: str, threads: int, span: Span) -> Span:
    """Make one shard and rename it into place, in whichever thread or process this runs. threads: torch's: they
    decide how long sums are split, and so their last bits."""
    torch.set_num_threads(threads)
    write_table(make(span), name, part(folder, name, span))
    return span


def part(folder: Path, name: str, span: Span) -> Path:
    """Where a shard of table `name` lies."""
    return folder / f"{name}-{span.first:08d}-{span.end:08d}.parquet"
