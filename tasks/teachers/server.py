"""A language model behind an OpenAI-compatible chat endpoint: OpenAI's own, vLLM, SGLang, `transformers serve` …

    rlmec run … --set teach.teacher=server --set teach.settings.base_url=http://127.0.0.1:8000/v1 \\
                --set teach.settings.model=Qwen/Qwen3-32B

Without base_url it is OpenAI's own, with the key in OPENAI_API_KEY; for another address that wants a key,
`api_key_env` names the variable that holds it. It needs the extra `server` (the package openai).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import Field

from tasks.endpoint import Body, Connection, openai_client
from tasks.teachers import Given
from tasks.teachers._book import Book
from tasks.teachers._chat import Answer, ChatOptions, Dialect, chat, opened
from tasks.teachers._dialogue import Question

__all__ = ["DIALECT", "Options", "opened", "rewrites"]

KEY, ADDRESS = "OPENAI_API_KEY", "https://api.openai.com/v1"


class Options(ChatOptions, frozen=True):
    """`length_field` and `extra` are for servers that differ in what they take."""

    length_field: str = Field("max_tokens", description="OpenAI's newer models want max_completion_tokens")
    extra: dict[str, Any] = Field(default_factory=dict, description="more fields of each request, as the server takes")


def rewrites(options: Options, given: Sequence[Given], book: Book) -> list[dict[str, Any]]:
    """A row of the rewrites table for each sample."""
    return chat(DIALECT, options, given, book)


def body(options: Options, question: Question) -> dict[str, Any]:
    """A request. The candidate's number is its seed, for servers that sample the same way from the same seed."""
    said = {"model": options.model, "messages": list(question.messages), options.length_field: question.max_new_tokens}
    sampling = {} if question.temperature is None else {"temperature": question.temperature, "seed": question.number}
    return said | sampling | options.extra


def read(said: Mapping[str, Any]) -> Answer:
    """What an answer says. A refusal is a field of its own, or the finish reason of a filter."""
    choice, usage = said["choices"][0], said.get("usage") or {}
    refusal = choice["message"].get("refusal") or choice.get("finish_reason") == "content_filter"
    return Answer(
        str(choice["message"].get("content") or ""),
        choice.get("finish_reason") != "length",
        bool(refusal),
        int(usage.get("prompt_tokens") or 0),
        int(usage.get("completion_tokens") or 0),
    )


def sender(package: Any, connection: Connection, key: str) -> Callable[[Body], bytes]:
    """What posts a body to the chat endpoint."""
    client = openai_client(package, connection, key)
    post = client.chat.completions.with_raw_response.create
    return lambda body: post(model=body["model"], messages=body["messages"], extra_body=body).content


DIALECT = Dialect("openai", "server", KEY, ADDRESS, sender, body, read)
