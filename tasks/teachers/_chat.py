"""What teachers behind an address share: options, the book of answers, and rewrites of many samples at once.

A teacher says how a question becomes a request's body, how an answer is read, and which client sends it:

    Dialect(package, extra, key variable, own address, send, body, read)

An answer is looked up in the book first. One that comes is filed with its tokens, a refusal too, for it is paid; what
is no answer (an empty text, an error) is not, so that another run asks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pydantic import model_validator

from tasks.endpoint import Body, Connection, Endpoint, FailedError, client_package, key_of
from tasks.progress import Log
from tasks.teachers import Given, _book
from tasks.teachers._book import Book, Limits
from tasks.teachers._dialogue import DialogueOptions, Question, Reply, rewrites


class ChatOptions(Connection, DialogueOptions, Limits, frozen=True):
    """A model behind an address."""

    unkeyed: ClassVar[frozenset[str]] = Connection.unkeyed | frozenset(Limits.model_fields)

    @model_validator(mode="after")
    def has_model(self) -> ChatOptions:
        if not self.model:
            raise ValueError("name the model: --set teach.settings.model=NAME")
        return self


class Answer(NamedTuple):
    """What an answer says: its text, whether it ended or was cut off, whether the model refused, and its tokens."""

    text: str
    ended: bool
    is_refused: bool
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class Dialect:
    """How one kind of server is asked. `send(client package, connection, key)` gives what sends a body."""

    package: str
    extra: str
    key: str
    address: str
    send: Callable[[Any, Connection, str], Callable[[Body], bytes]]
    body: Callable[[Any, Question], dict[str, Any]]
    read: Callable[[Mapping[str, Any]], Answer]


def opened(folder: Path | None, options: ChatOptions, log: Log) -> AbstractContextManager[Book]:
    """The book, with a new account for this run of the stage."""
    return _book.opened(folder, Limits(**options.model_dump(include=set(Limits.model_fields))), log)


def chat(dialect: Dialect, options: ChatOptions, given: Sequence[Given], book: Book) -> list[dict[str, Any]]:
    """A row of the rewrites table for each sample."""
    endpoint = endpoint_of(dialect, options)

    def one(question: Question) -> Reply:
        return reply(dialect, options, endpoint, book, question)

    return rewrites(options, given, lambda questions: list(endpoint.each(one, questions)))


def endpoint_of(dialect: Dialect, options: ChatOptions) -> Endpoint:
    """The server, with its client. A key is sent to the address that it belongs to, and to another only where
    `api_key_env` names it for that."""
    variable = options.api_key_env or ("" if options.base_url else dialect.key)
    key = key_of(variable)
    connection = options.model_copy(update={"base_url": options.base_url or dialect.address})
    package = client_package(dialect.package, dialect.extra)
    return Endpoint(connection, dialect.send(package, connection, key), package, key, variable)


def reply(dialect: Dialect, options: ChatOptions, endpoint: Endpoint, book: Book, question: Question) -> Reply:
    """The answer to one question, from the book or from the server, or the reason why there is none."""
    body = dialect.body(options, question)
    filed = [dialect.package, body, question.number]
    found = book.found(filed)
    if found is None:
        started = time.monotonic()
        try:
            found = endpoint.ask(body, lambda said: checked(dialect, book, said), book.begin)
        except FailedError as failure:
            return Reply(reason=failure.reason)
        book.file(filed, found)
        took = {"input_tokens": found.input_tokens, "output_tokens": found.output_tokens}
        book.count(answers=1, seconds=time.monotonic() - started, **took)
    text, ended, is_refused, *_ = found
    return Reply(text, ended, "server: the model refused" if is_refused else None)


def checked(dialect: Dialect, book: Book, said: Any) -> Answer:
    """A server's answer as read; FailedError where it has another shape, or says nothing (which is paid, too)."""
    try:
        answer = dialect.read(said)
        answer.text.encode()  # a half of a surrogate pair would be refused by the tokenizer and by the tables
    except (LookupError, TypeError, AttributeError, ValueError):
        raise FailedError("server: unreadable answer") from None
    if not (answer.text.strip() or answer.is_refused):
        book.count(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
        raise FailedError("server: empty answer")
    return answer
