"""Asking a server over HTTP, whoever it is: addresses and keys, one try after the other, and many at once.

    endpoint = Endpoint(connection, send, sdk, key)
    answers = list(endpoint.each(endpoint.ask, bodies))

`send` makes one request and returns the body of its answer; it is a call of the client that `sdk` is (the packages
`openai` and `anthropic` name their errors alike). What goes wrong becomes a FailedError with a few words, one of a
handful, or a UserError where asking again cannot help. The key comes from the environment; it is in no message.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from time import time
from types import ModuleType
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, field_validator

from tasks.errors import UserError

S = TypeVar("S")
T = TypeVar("T")
Body = Mapping[str, Any]
MOST_BYTES = 1_000_000  # of an answer: no rewrite is that long, and nothing longer is read into tables
NO_KEY = "none"  # what a client sends where a server wants no key


class Connection(BaseModel, extra="forbid", frozen=True):
    """How a server is reached. Nothing here but `model` changes what it answers."""

    unkeyed: ClassVar[frozenset[str]] = frozenset(
        ("base_url", "api_key_env", "timeout", "tries", "first_wait", "longest_wait", "concurrency", "most_failures")
    )
    base_url: str = Field("", description="the server's address, such as http://127.0.0.1:8000/v1")
    model: str = Field("", description="the model, as the server names it")
    api_key_env: str = Field("", description="the environment variable that holds the key for this address")
    timeout: float = Field(120.0, gt=0, description="seconds without a sign of the server before a try has failed")
    tries: int = Field(6, gt=0, description="tries of one request")
    first_wait: float = Field(1.0, ge=0, description="seconds before the second try; twice as long each further time")
    longest_wait: float = Field(60.0, ge=0, description="most seconds before another try, whatever the server asks")
    concurrency: int = Field(8, gt=0, description="requests at once, of each process")
    most_failures: int = Field(25, gt=0, description="stop after so many failed requests in a row: the server is gone")

    @field_validator("base_url")
    @classmethod
    def has_no_secret(cls, address: str) -> str:
        """An address is logged, so it may hold neither a password nor a query."""
        parts = urlsplit(address)
        if parts.username or parts.password or parts.query:
            raise ValueError("the address holds a password or a query: take it out, and name a variable in api_key_env")
        if address and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("write the address as http://HOST:PORT/v1")
        return address.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def is_a_name(cls, name: str) -> str:
        """The name of a variable; a key that was put here by mistake is not repeated."""
        if name and not (name.isidentifier() and name.upper() == name):
            raise ValueError("it is the name of an environment variable, in capitals, not a key")
        return name


class FailedError(Exception):
    """A request that got no usable answer. `reason` has no more than a few words, the same for the same failure;
    `words` are the server's own."""

    def __init__(
        self, reason: str, *, is_passing: bool = True, wait: float | None = None, status: int = 0, words: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason, self.is_passing, self.wait, self.status = reason, is_passing, wait, status
        self.full = f"{reason}: {words}" if words else reason


def client_package(name: str, extra: str) -> ModuleType:
    """A client's package, imported only when it is asked; UserError names the extra that brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"this needs the package {name}: pip install 'rlmec[{extra}]'") from error


def key_of(variable: str) -> str:
    """The key that an environment variable holds; NO_KEY where no variable is named, UserError where it is empty."""
    if not variable:
        return NO_KEY
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(f"the environment variable {variable} is not set: the server's key is read from there")
    return key


class Endpoint:
    """A server that answers requests, tried again where that may help."""

    def __init__(
        self, connection: Connection, send: Callable[[Body], bytes], sdk: ModuleType, key: str, variable: str = ""
    ) -> None:
        self.connection, self.send, self.sdk, self.key = connection, send, sdk, key
        self.variable = variable
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.dice = random.Random()  # its own: training draws from the global one
        self.failures = 0  # requests without an answer since the last one with one

    def ask(self, body: Body, check: Callable[[Any], T], due: Callable[[], float] = lambda: 0.0) -> T:
        """What `check` makes of a request's answer; a FailedError of its is one of the try. `due` is called ahead of
        each try, and says how many seconds it must wait.

        FailedError after the last try, or at once where another would fail the same way; UserError where the key is
        refused every time, the model or address is unknown, or nothing was answered for long."""
        refused = 0
        for number in range(self.connection.tries):
            self.pause(due())
            try:
                found = check(self.once(body))
            except FailedError as failure:
                last = failure
                refused += failure.status in (401, 403)
                if not failure.is_passing:
                    break
                if number + 1 < self.connection.tries:
                    self.rest(number, failure.wait)
                continue
            with self.lock:
                self.failures = 0
            return found
        if refused == self.connection.tries:
            what = f"the key in {self.variable}" if self.variable else "a request without a key (see api_key_env)"
            raise self.stop(f"{self.where} refuses {what} ({last.status})")
        self.count(last)
        raise last

    def once(self, body: Body) -> Any:
        """The JSON value of one try's answer."""
        sdk = self.sdk
        try:
            content = self.send(body)
        except sdk.APITimeoutError:
            raise FailedError("server: timed out") from None
        except sdk.APIStatusError as error:
            raise self.of_status(error.status_code, error.response.headers, error) from None
        except sdk.APIError:
            raise FailedError("server: connection lost") from None
        if len(content) > MOST_BYTES:
            raise FailedError("server: answer too long", is_passing=False)
        try:
            return json.loads(content)
        except ValueError:  # half a JSON, or another encoding
            raise FailedError("server: unreadable answer") from None

    def of_status(self, status: int, headers: Mapping[str, str], error: Exception) -> Exception:
        """The failure that a status means. A client's message may repeat the key, so it is shown without."""
        if status == 429:
            return FailedError("server: too many requests", wait=retry_after(headers.get("retry-after")), status=status)
        if status in (401, 403):
            return FailedError("server: key refused", status=status)
        if status == 404:
            return self.stop(f"{self.where} knows no such model or address: {self.without_key(error)}")
        if status >= 500 or status in (408, 409):
            return FailedError(f"server: error {status}", wait=retry_after(headers.get("retry-after")), status=status)
        refused = f"server: request refused ({status})"
        return FailedError(refused, is_passing=False, status=status, words=self.without_key(error))

    def without_key(self, error: Exception) -> str:
        """The first words of a client's message, without the key."""
        text = " ".join(str(error).split())
        return (text.replace(self.key, "…") if self.key != NO_KEY else text)[:200]

    @property
    def where(self) -> str:
        return self.connection.base_url

    def rest(self, number: int, wanted: float | None) -> None:
        """Wait before another try: as the server asks, or ever longer, and a little at random so that not all that
        failed together come back together."""
        own = self.connection.first_wait * 2**number * self.dice.uniform(0.5, 1.0)
        self.pause(min(own if wanted is None else wanted, self.connection.longest_wait))

    def pause(self, seconds: float) -> None:
        """Wait; FailedError where all has been stopped meanwhile."""
        if self.stopped.wait(seconds):
            raise FailedError("server: stopped", is_passing=False)

    def count(self, failure: FailedError) -> None:
        """Another request without an answer; UserError where there were too many in a row."""
        with self.lock:
            self.failures += 1
            is_gone = self.failures >= self.connection.most_failures
        if is_gone:
            most = self.connection.most_failures
            raise self.stop(f"{self.where}: {most} requests in a row got no answer ({failure.full})")

    def stop(self, message: str) -> UserError:
        """A UserError, after which no other thread tries again."""
        self.stopped.set()
        return UserError(f"{message}. What was answered is kept: the same command goes on from there")

    def each(self, make: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """`make` of every item in their order, `concurrency` of them at once. What one raises ends it all: those that
        have begun are waited for (their answers are paid), the others are not begun. Ctrl-C waits for none."""
        todo: SimpleQueue[tuple[S, Future[T]]] = SimpleQueue()
        futures: list[Future[T]] = []
        for item in items:
            futures.append(Future())
            todo.put((item, futures[-1]))
        count = min(self.connection.concurrency, len(futures))
        # Daemons, unlike those of a ThreadPoolExecutor, let the process end while a server hangs.
        threads = [threading.Thread(target=self.work, args=(make, todo), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            for future in futures:
                # In small steps: polars' handler of Ctrl-C lets a thread that waits for a lock wait on.
                while not future.done():
                    wait([future], timeout=0.2)
                yield future.result()
        except Exception:
            self.stopped.set()
            for thread in threads:
                thread.join()
            raise
        except BaseException:
            self.stopped.set()
            raise

    def work(self, make: Callable[[S], T], todo: SimpleQueue[tuple[S, Future[T]]]) -> None:
        """A thread of `each`: one item after the other until there is none, or all is stopped."""
        while not self.stopped.is_set():
            try:
                item, future = todo.get_nowait()
            except Empty:
                return
            try:
                future.set_result(make(item))
            except BaseException as error:  # noqa: BLE001 (whoever waits for the result gets it)
                future.set_exception(error)


def retry_after(text: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, given as seconds or as a date; None where it says neither."""
    if not text:
        return None
    try:
        seconds = float(text) if text[0].isdigit() else parsedate_to_datetime(text).timestamp() - time()
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0)


def openai_client(package: Any, connection: Connection, key: str) -> Any:
    """The client of package openai for an address; trying again is this module's business."""
    return package.OpenAI(api_key=key, base_url=connection.base_url, timeout=connection.timeout, max_retries=0)
