"""The book of a teacher that costs: answers that were given before, and what this run of the stage has asked and spent.

It is SQLite files, which every thread and process that asks may write at once, and which a kill leaves whole. An
answer is filed under a hash of what was asked (model, messages, sampling parameters, number of the candidate) as soon
as it is there, so asking again costs nothing: after a kill in the middle of a shard, with `--force teach`, or with
other options of acceptance. Beside that stands, for each run of the stage, what a budget and the ledger count.

    with opened(folder, limits, log) as book:
        book.begin()                  one more request, due in so many seconds; UserError where the budget is spent
        book.file(question, reply)    and found(question) gives it back

Without a folder the book is thrown away in the end, as in a notebook.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field, model_validator

from tasks.errors import UserError
from tasks.progress import Log

ANSWERS, ACCOUNTS = "teacher-answers.sqlite3", "teacher-accounts.sqlite3"
COUNTS = ("requests", "answers", "cached", "input_tokens", "output_tokens", "seconds")
TABLES = {
    ANSWERS: "CREATE TABLE IF NOT EXISTS answers (question TEXT PRIMARY KEY, reply TEXT NOT NULL)",
    ACCOUNTS: "CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, next_at REAL DEFAULT 0, "
    f"{', '.join(f'{count} REAL DEFAULT 0' for count in COUNTS)})",
}
# Answers are worth waiting for the disk; an account is of no use after its run.
WAITS = {ANSWERS: "NORMAL", ACCOUNTS: "OFF"}
MILLION = 1_000_000


class Limits(BaseModel, extra="forbid", frozen=True):
    """What one run of the stage may ask and spend; what is answered from the book counts for nothing."""

    max_requests: int | None = Field(None, gt=0, description="stop after so many requests")
    max_cost: float | None = Field(None, gt=0, description="stop when so much is spent, in the prices' currency")
    input_price: float = Field(0.0, ge=0, description="of a million tokens that are read")
    output_price: float = Field(0.0, ge=0, description="of a million tokens that are written")
    requests_per_minute: float | None = Field(None, gt=0, description="most requests a minute, of all processes")

    @model_validator(mode="after")
    def has_prices(self) -> Limits:
        if self.max_cost is not None and not (self.input_price or self.output_price):
            raise ValueError("max_cost needs input_price and output_price, of a million tokens")
        return self


@dataclass(frozen=True)
class Book:
    """A page of the book: the account of one run of the stage. It may be sent to other processes."""

    folder: Path
    account: str
    limits: Limits

    def begin(self) -> float:
        """Count a request, and say in how many seconds it is due; UserError where the budget is spent."""
        limits = self.limits
        if limits.max_cost is not None and self.spent()["cost"] >= limits.max_cost:
            raise self.used_up(f"max_cost of {limits.max_cost:g}")
        most = limits.max_requests if limits.max_requests is not None else -1
        pause = 60 / limits.requests_per_minute if limits.requests_per_minute else 0.0
        with self.database(ACCOUNTS) as database:
            row = database.execute(
                "UPDATE accounts SET requests = requests + 1, next_at = max(next_at, ?) + ? "
                "WHERE account = ? AND (? < 0 OR requests < ?) RETURNING next_at",
                (time.time(), pause, self.account, most, most),
            ).fetchone()
        if row is None:
            raise self.used_up(f"max_requests of {most}")
        due: float = row[0] - pause
        return max(due - time.time(), 0.0)

    def used_up(self, limit: str) -> UserError:
        spent = self.spent()
        return UserError(
            f"the teacher's {limit} is spent: {spent['requests']:.0f} requests, {spent['input_tokens']:.0f} tokens "
            f"read, {spent['output_tokens']:.0f} written, cost {spent['cost']:.4g}. What was answered is kept: the "
            f"same command goes on from there, with as much to spend again"
        )

    def count(self, **amounts: float) -> None:
        """Add to the account."""
        sums = ", ".join(f"{name} = {name} + ?" for name in amounts)
        with self.database(ACCOUNTS) as database:
            database.execute(f"UPDATE accounts SET {sums} WHERE account = ?", (*amounts.values(), self.account))

    def spent(self) -> dict[str, float]:
        """The account: requests (each try is one), answers, tokens, those that the book had, seconds from question
        to answer, added up, and the estimated cost."""
        with self.database(ACCOUNTS) as database:
            row = database.execute(
                f"SELECT {', '.join(COUNTS)} FROM accounts WHERE account = ?", (self.account,)
            ).fetchone()
        spent = dict(zip(COUNTS, row, strict=True))
        prices = self.limits.input_price * spent["input_tokens"] + self.limits.output_price * spent["output_tokens"]
        return spent | {"cost": prices / MILLION}

    def found(self, question: Any) -> Any | None:
        """The reply on file to a question (a JSON value), None where there is none."""
        with self.database(ANSWERS) as database:
            row = database.execute("SELECT reply FROM answers WHERE question = ?", (hash_of(question),)).fetchone()
        if row is None:
            return None
        self.count(cached=1)
        return json.loads(row[0])

    def file(self, question: Any, reply: Any) -> None:
        """Put a reply on file."""
        with self.database(ANSWERS) as database:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (hash_of(question), json.dumps(reply)))

    @contextmanager
    def database(self, name: str) -> Iterator[sqlite3.Connection]:
        """One of the two databases, each statement a transaction; UserError where the file cannot be used."""
        path = self.folder / name
        try:
            with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
                database.execute(f"PRAGMA synchronous = {WAITS[name]}")
                yield database
        except sqlite3.DatabaseError as error:
            raise UserError(f"{path}: cannot be used ({error}); if it is damaged, move it away") from error


def hash_of(question: Any) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()


@contextmanager
def opened(folder: Path | None, limits: Limits, log: Log) -> Iterator[Book]:
    """A new account in the book of a folder. Logs what was spent, also where the body was stopped."""
    if folder is None:
        with tempfile.TemporaryDirectory() as place, opened(Path(place), limits, log) as book:
            yield book
        return
    folder.mkdir(parents=True, exist_ok=True)
    book = Book(folder, uuid4().hex, limits)
    for name, table in TABLES.items():
        with book.database(name) as database:
            database.execute(table)
    with book.database(ACCOUNTS) as database:
        database.execute("INSERT INTO accounts (account) VALUES (?)", (book.account,))
    try:
        yield book
    finally:
        log({f"teacher/{name}": value for name, value in book.spent().items()})
