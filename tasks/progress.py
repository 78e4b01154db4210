"""How a stage tells what it is doing: numbers through a `Log`, and how far it is through `track`."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
PLAIN_LINE_SECONDS = 15.0


class Log(Protocol):
    """Receives a stage's numbers: with a step for a curve, without one for a final figure."""

    def __call__(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...


def silent(metrics: Mapping[str, float], step: int | None = None) -> None:
    """A `Log` that keeps nothing, for notebooks and tests."""


class Counter:
    """How many of `total` units are done; `advance` shows it."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self.skipped = 0
        self.started = time.monotonic()
        self.last_line = self.started

    def advance(self, amount: int = 1) -> None:
        """Count `amount` more units; a plain line is printed now and then, when not on a terminal."""
        self.done += amount
        now = time.monotonic()
        if now - self.last_line >= PLAIN_LINE_SECONDS:
            self.last_line = now
            print(f"  {self.label}: {self.describe(now)}", file=sys.stderr, flush=True)

    def skip(self, amount: int) -> None:
        """Count units that were done before: they say nothing about the rate."""
        self.skipped += amount
        self.advance(amount)

    def rate(self, now: float) -> float:
        """Units a second since the start."""
        return (self.done - self.skipped) / max(now - self.started, 1e-9)

    def describe(self, now: float) -> str:
        """Units done, their rate and the seconds left, as in `120/200 problems, 4.1/s, 20 s left`."""
        rate = self.rate(now)
        left = (self.total - self.done) / rate if rate else float("inf")
        return f"{self.done}/{self.total} {self.unit}, {rate:.1f}/s, {left:.0f} s left"


class BarCounter(Counter):
    """A Counter drawn as a bar with rate and time left."""

    def __init__(self, label: str, total: int, unit: str, progress: Progress) -> None:
        super().__init__(label, total, unit)
        self.progress = progress
        self.bar = progress.add_task(label, total=total, rate="")

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        rate = self.rate(time.monotonic())
        self.progress.update(self.bar, advance=amount, rate=f"{rate:.1f} {self.unit}/s")


@contextmanager
def counting(label: str, total: int, unit: str = "rows") -> Iterator[Counter]:
    """Show progress on standard error: a bar on a terminal, otherwise a plain line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Counter(label, total, unit)
        return
    columns = (
        TextColumn("  {task.description:<20}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        yield BarCounter(label, total, unit, progress)


def track(items: Iterable[T], label: str, total: int, unit: str = "rows") -> Iterator[T]:
    """Yield `items`, showing how many of `total` are done."""
    with counting(label, total, unit) as counter:
        for item in items:
            yield item
            counter.advance()
