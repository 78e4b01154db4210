"""A server draws them, through an OpenAI-compatible completions endpoint: vLLM, SGLang, `transformers serve` …

    vllm serve PATH --port 8000
    rlmec run … --set policy.checkpoint=PATH --set sample.sampler=server --set sample.settings.model=PATH \\
                --set sample.settings.base_url=http://127.0.0.1:8000/v1

The server must serve the policy of the run. What it can is asked once, with a first request: whether it takes a prompt
as token ids, and gives back those of the completion. Where it gives text alone, that is tokenised once, which may part
it otherwise than it was sampled: such completions are marked. Where it counts the tokens of a prompt otherwise than
the policy's tokenizer, it has another one, and the stage stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from models.policy import Completion, Decoding
from tasks.endpoint import Connection, Endpoint, FailedError, client_package, key_of, openai_client
from tasks.errors import UserError
from tasks.prompts import encode, end, opening, start

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ALIKE = 8  # pairs of prompts and completions that are all the same show that a server does not sample


class Options(Connection, frozen=True):
    """How the server is reached, and what else it is told."""

    concurrency: int = Field(32, gt=0, description="requests at once")
    extra: dict[str, Any] = Field(default_factory=dict, description="more fields of each request, as the server takes")

    @model_validator(mode="after")
    def has_names(self) -> Options:
        if not (self.base_url and self.model):
            raise ValueError(
                "name the server, --set sample.settings.base_url=http://127.0.0.1:8000/v1, and the policy as it is "
                "called there, --set sample.settings.model=PATH"
            )
        return self


@dataclass(frozen=True)
class Form:
    """What a server takes: prompts as ids, and the field that asks vLLM for the ids of a completion."""

    ids: bool
    asks_ids: bool


FORMS = [Form(ids, asks) for ids, asks in product((True, False), (True, False))]


def completions(
    options: Options,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    seeds: Sequence[int],
    batch_size: int,
    device: str,
) -> Iterator[Completion]:
    """Complete each prompt. UserError where the server has another tokenizer, or does not sample."""
    if not prompts:
        return
    asking = Asking(options, tokenizer, decoding)
    form = asking.form(prompts[0])

    def one(row: int) -> Completion:
        return asking.completion(form, row, prompts[row], seeds[row])

    made = list(asking.endpoint.each(one, range(len(prompts))))
    if decoding.temperature > 0:
        check_sampling(options, prompts, made)
    yield from made


class Asking:
    """The requests to one server."""

    def __init__(self, options: Options, tokenizer: PreTrainedTokenizerBase, decoding: Decoding) -> None:
        self.options, self.tokenizer, self.decoding = options, tokenizer, decoding
        package, key = client_package("openai", "server"), key_of(options.api_key_env)
        post = openai_client(package, options, key).completions.with_raw_response.create
        self.endpoint = Endpoint(
            options,
            lambda body: bytes(post(model=options.model, prompt=body["prompt"], extra_body=body).content),
            package,
            key,
            options.api_key_env,
        )

    def body(self, form: Form, prompt: Sequence[int], seed: int, most: int) -> dict[str, Any]:
        """A request; where the server does not take ids, the text that its tokenizer reads as the same ids."""
        body: dict[str, Any] = {"prompt": list(prompt) if form.ids else self.text_of(prompt), "max_tokens": most}
        body |= {"temperature": self.decoding.temperature, "top_p": self.decoding.top_p, "seed": seed % 2**31}
        return body | ({"return_token_ids": True} if form.asks_ids else {}) | self.options.extra

    def text_of(self, prompt: Sequence[int]) -> str:
        """The text of a prompt without the BOS that a server's tokenizer puts before it."""
        text = str(self.tokenizer.decode(list(prompt)[len(start(self.tokenizer)) :], skip_special_tokens=False))
        if opening(self.tokenizer, text) != list(prompt):
            raise UserError(
                f"{self.options.base_url} takes prompts as text alone, and the policy's tokenizer reads a prompt "
                f"otherwise than it was made; use a server that takes token ids"
            )
        return text

    def form(self, prompt: Sequence[int]) -> Form:
        """The richest form in which the server takes a request, found by asking for one token."""
        refusals = []
        for form in FORMS:
            try:
                self.endpoint.ask(self.body(form, prompt, 0, 1), lambda said: self.read(said, 0, prompt))
                return form
            except FailedError as failure:
                refusals.append(failure)
                if failure.status not in (400, 422):
                    break
        raise UserError(f"{self.options.base_url} answers no request for a completion ({refusals[-1].full})")

    def completion(self, form: Form, row: int, prompt: Sequence[int], seed: int) -> Completion:
        """The completion of a prompt."""
        body = self.body(form, prompt, seed, self.decoding.max_new_tokens)
        try:
            return self.endpoint.ask(body, lambda said: self.read(said, row, prompt))
        except FailedError as failure:
            raise UserError(
                f"{self.options.base_url}: a prompt got no completion ({failure.full}). The shards that are done are "
                f"kept: the same command goes on from there"
            ) from None

    def read(self, said: Mapping[str, Any], row: int, prompt: Sequence[int]) -> Completion:
        """An answer as a completion."""
        try:
            choice, counted = said["choices"][0], (said.get("usage") or {}).get("prompt_tokens")
            text, ended = str(choice["text"]), choice["finish_reason"] == "stop"
            ids = token_ids(choice)
        except (LookupError, TypeError, AttributeError, ValueError):
            raise FailedError("server: unreadable answer") from None
        if counted not in (None, len(prompt)):
            raise UserError(
                f"{self.options.base_url} reads a prompt as {counted} tokens and the policy's tokenizer as "
                f"{len(prompt)}: serve the checkpoint that the run starts from"
            )
        is_from_text = ids is None
        ids = with_end(self.tokenizer, encode(self.tokenizer, text) if ids is None else ids, ended)
        # No completion is without a token: where a filter leaves none, it ended at once.
        return Completion(row, ids or [end(self.tokenizer)], ended or not ids, is_from_text)


def token_ids(choice: Mapping[str, Any]) -> list[int] | None:
    """The completion's ids, where a server gives them: vLLM's `token_ids`, or its log-probabilities with tokens as
    `token_id:17`."""
    if choice.get("token_ids") is not None:
        return [int(token) for token in choice["token_ids"]]
    tokens = (choice.get("logprobs") or {}).get("tokens") or []
    if tokens and all(str(token).startswith("token_id:") for token in tokens):
        return [int(token.removeprefix("token_id:")) for token in tokens]
    return None


def with_end(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], ended: bool) -> list[int]:
    """Ids that end with the token of that meaning exactly where the completion ended. A server may leave it out, or end
    with another special token of the model's."""
    last = end(tokenizer)
    body = list(ids)
    while body and body[-1] in (last, *(tokenizer.all_special_ids if ended else ())):
        body.pop()
    return [*body, last] if ended else body


def check_sampling(options: Options, prompts: Sequence[Sequence[int]], made: Sequence[Completion]) -> None:
    """UserError where every prompt that was given several times got the same completion each time."""
    several: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for one in made:
        several.setdefault(tuple(prompts[one.row]), []).append(tuple(one.ids))
    repeated = [found for found in several.values() if len(found) > 1]
    if sum(len(found) - 1 for found in repeated) >= ALIKE and all(len(set(found)) == 1 for found in repeated):
        raise UserError(
            f"{options.base_url} gives the same completion for every seed: it does not sample. `transformers serve` "
            f"needs do_sample in the checkpoint's generation_config.json, or in sample.settings.extra.generation_config"
        )
