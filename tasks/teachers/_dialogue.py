"""How a language model teaches: it locates the first wrong line, then rewrites from there, n times; the best is taken.

    locate    asked once of each sample, greedily; an answer that names no line locates nothing, and then the line
              at which an accepted rewrite departs from the sample counts as located
    rewrite   `candidates` answers; the lines before the located one stay as the sample has them
    again     where a candidate is right but edits more than is allowed, with the excess shown

The accepted rewrite with the fewest token edits wins. A sample without one is set aside with the reason of its
nearest candidate: of a right one, else of one with an answer, else of the server's failure.

A teacher gives `rewrites` a function that answers many questions at once; how is its own business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from tasks.prompts import parse_located_line
from tasks.rewrites import first_changed_line
from tasks.teachers import Given
from tasks.teachers._prompts import again_prompt, locate_prompt, rewrite_prompt

Message = Mapping[str, str]


class DialogueOptions(BaseModel, extra="forbid", frozen=True):
    """What a language model is asked for."""

    candidates: int = Field(2, gt=0, description="rewrites of each sample, of which the nearest right one is kept")
    temperature: Annotated[float, Field(ge=0)] | Literal["default"] = Field(
        0.7, description='of rewrites; "default" sends none, for models that take none'
    )
    max_new_tokens: int = Field(1024, gt=0, description="length limit of an answer, in tokens")
    again: int = Field(1, ge=0, description="how often a right rewrite with too many edits is asked for again")


@dataclass(frozen=True)
class Question:
    """One request: the conversation so far; candidates of a sample differ in `number`."""

    messages: tuple[Message, ...]
    number: int
    temperature: float | None  # None leaves it to the model
    max_new_tokens: int


@dataclass(frozen=True)
class Reply:
    """A model's answer, or the reason why there is none. `ended` is false where it met the length limit."""

    text: str = ""
    ended: bool = True
    reason: str | None = None


@dataclass
class Attempt:
    """One candidate: the conversation and what came of it."""

    given: Given
    located: int | None
    question: Question
    row: dict[str, Any] = field(default_factory=dict)
    reply: Reply = Reply()


Ask = Callable[[Sequence[Question]], Sequence[Reply]]


def rewrites(options: DialogueOptions, given: Sequence[Given], ask: Ask) -> list[dict[str, Any]]:
    """A row of the rewrites table for each sample, in order."""
    located = locate(options, given, ask)
    attempts = [
        Attempt(one, line, rewrite_question(options, one, line, number))
        for one, line in zip(given, located, strict=True)
        for number in range(options.candidates)
    ]
    rows: list[list[dict[str, Any]]] = [[] for _ in given]
    place = {id(one): position for position, one in enumerate(given)}
    for _ in range(1 + options.again):
        answer(attempts, ask)
        for attempt in attempts:
            rows[place[id(attempt.given)]].append(attempt.row)
        attempts = [again(attempt) for attempt in attempts if attempt.row["reject_reason"] == "too many edits"]
        if not attempts:
            break
    return [min(found, key=rank) | {"attempts": len(found)} for found in rows]


def locate(options: DialogueOptions, given: Sequence[Given], ask: Ask) -> list[int | None]:
    """The line that the teacher takes for the first wrong one of each sample; None where its answer names none."""
    temperature = None if options.temperature == "default" else 0.0
    questions = [Question(user(locate_prompt(*one.told)), 0, temperature, options.max_new_tokens) for one in given]
    said = [without_thoughts(reply.text) for reply in ask(questions)]
    return [parse_located_line(text, len(one.lines)) for text, one in zip(said, given, strict=True)]


def rewrite_question(options: DialogueOptions, given: Given, located: int | None, number: int) -> Question:
    """The first question for candidate `number`."""
    temperature = None if options.temperature == "default" else options.temperature
    return Question(user(rewrite_prompt(*given.told, located)), number, temperature, options.max_new_tokens)


def answer(attempts: Sequence[Attempt], ask: Ask) -> None:
    """Ask for every attempt and judge what comes."""
    replies = ask([attempt.question for attempt in attempts])
    for attempt, reply in zip(attempts, replies, strict=True):
        text = "" if reply.reason else whole(attempt.given.lines, attempt.located, reply.text)
        row = attempt.given.judge(text, attempt.located, reply.ended)
        attempt.reply, attempt.row = reply, row | {"reject_reason": reply.reason or row["reject_reason"]}
        if attempt.located is None and attempt.row["reject_reason"] is None:
            # The reward model learns to locate from accepted rewrites: where this one departs is what it shows.
            attempt.row["located_step"] = first_changed_line("".join(attempt.given.lines), text)


def again(attempt: Attempt) -> Attempt:
    """The attempt to be made after one that edits too much."""
    row, question = attempt.row, attempt.question
    tokens = round(row["edit_distance"] / row["edit_fraction"])
    excess = again_prompt(row["edit_distance"], tokens, attempt.given.max_edit_fraction)
    said = {"role": "assistant", "content": attempt.reply.text}
    messages = (*question.messages, said, *user(excess))
    more = Question(messages, question.number, question.temperature, question.max_new_tokens)
    return Attempt(attempt.given, attempt.located, more)


def rank(row: Mapping[str, Any]) -> tuple[bool, bool, bool, int]:
    """Sorts accepted rows first, then right ones, then those that state an answer; each by their edits."""
    is_rejected = row["reject_reason"] is not None
    return is_rejected, not row["is_right"], row["extracted_answer"] is None, row["edit_distance"]


def user(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def without_thoughts(text: str) -> str:
    """What a model says after the thoughts that some put before their answer."""
    return text.rpartition("</think>")[2].strip()


def whole(lines: Sequence[str], located: int | None, text: str) -> str:
    """The rewrite that an answer means: the sample's lines before the located one, then the answer, without the fence
    that models like to put around it. An answer that repeats those lines is taken as it is."""
    said = without_thoughts(text)
    if said.startswith("```") and said.endswith("```") and "\n" in said:
        said = said[said.index("\n") + 1 : -3].strip("\n")
    start = "".join(lines[: located - 1]) if located else ""
    if not said or said.startswith(start.strip("\n")):
        return said
    return start + said
