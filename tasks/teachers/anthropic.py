"""One of Anthropic's models, through its own client (the extra `anthropic`), with the key in ANTHROPIC_API_KEY.

    rlmec run … --set teach.teacher=anthropic --set teach.settings.model=NAME --set teach.settings.max_cost=20 \\
                --set teach.settings.input_price=3 --set teach.settings.output_price=15
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from tasks.endpoint import Body, Connection
from tasks.teachers import Given
from tasks.teachers._book import Book
from tasks.teachers._chat import Answer, ChatOptions, Dialect, chat, opened
from tasks.teachers._dialogue import Question

__all__ = ["DIALECT", "Options", "opened", "rewrites"]

KEY, ADDRESS = "ANTHROPIC_API_KEY", "https://api.anthropic.com"


class Options(ChatOptions, frozen=True):
    """As any model behind an address; a temperature is refused since API version 2026-10-21."""

    temperature: Literal["default"] = Field("default", description="the API takes none")


def rewrites(options: Options, given: Sequence[Given], book: Book) -> list[dict[str, Any]]:
    """A row of the rewrites table for each sample."""
    return chat(DIALECT, options, given, book)


def body(options: Options, question: Question) -> dict[str, Any]:
    """A request. There is neither temperature nor seed; candidates differ by chance."""
    return {"model": options.model, "messages": list(question.messages), "max_tokens": question.max_new_tokens}


def read(said: Mapping[str, Any]) -> Answer:
    """What an answer says: the text of its blocks."""
    text = "".join(block["text"] for block in said["content"] if block["type"] == "text")
    reason, usage = said.get("stop_reason"), said.get("usage") or {}
    tokens = int(usage.get("input_tokens") or 0), int(usage.get("output_tokens") or 0)
    return Answer(text, reason != "max_tokens", reason == "refusal", *tokens)


def sender(package: Any, connection: Connection, key: str) -> Callable[[Body], bytes]:
    """What posts a body to the messages endpoint."""
    client = package.Anthropic(api_key=key, base_url=connection.base_url, timeout=connection.timeout, max_retries=0)
    post = client.messages.with_raw_response.create
    return lambda body: bytes(post(**body).http_response.content)


DIALECT = Dialect("anthropic", "anthropic", KEY, ADDRESS, sender, body, read)
