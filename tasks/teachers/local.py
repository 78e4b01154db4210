"""A language model on this machine: a folder with a transformers checkpoint, prompted through its chat template.

    rlmec run … --set teach.teacher=local --set teach.settings.checkpoint=/path/to/checkpoint

It needs no server and no package more, and decodes many samples at once. Its seeds depend on what is asked alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from models import policy
from models.policy import Decoding, complete
from tasks.errors import UserError
from tasks.prompts import decode, end, opening, raw
from tasks.records import derive_seed
from tasks.teachers import Given
from tasks.teachers._dialogue import DialogueOptions, Question, Reply
from tasks.teachers._dialogue import rewrites as rewrites_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class Options(DialogueOptions, frozen=True):
    """Which checkpoint, and how it is run."""

    unkeyed: ClassVar[frozenset[str]] = frozenset({"device"})
    checkpoint: str = Field(description="a local folder with safetensors weights")
    batch_size: int = Field(16, gt=0, description="answers made at once")
    device: str = "auto"


def files(options: Options) -> list[str]:
    """The checkpoint counts by its content."""
    return [str(Path(options.checkpoint).expanduser())]


def rewrites(options: Options, given: Sequence[Given], book: Any = None) -> list[dict[str, Any]]:
    """A row of the rewrites table for each sample."""
    folder = Path(options.checkpoint).expanduser()
    if not folder.is_dir():
        raise UserError(f"teach.settings.checkpoint: {folder} is no folder; a hub checkpoint must be downloaded first")
    model, tokenizer = policy.shared(folder, policy.device(options.device))
    return rewrites_of(options, given, lambda questions: answers(model, tokenizer, questions, options.batch_size))


def answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question], batch_size: int
) -> list[Reply]:
    """The model's answers, in order; all questions of a round are asked with the same temperature."""
    if not questions:
        return []
    decoding = Decoding(questions[0].max_new_tokens, questions[0].temperature or 0.0)
    prompts = [prompt(tokenizer, question) for question in questions]
    seeds = [derive_seed(question.number, question.messages) for question in questions]
    replies = [Reply()] * len(questions)
    for done in complete(model, prompts, end(tokenizer), decoding, seeds, batch_size):
        replies[done.row] = Reply(decode(tokenizer, done.ids[:-1] if done.ended else done.ids), done.ended)
    return replies


def prompt(tokenizer: PreTrainedTokenizerBase, question: Question) -> list[int]:
    """The conversation as the model reads it; one without a chat template gets the texts one after the other."""
    messages = [dict(message) for message in question.messages]
    if not tokenizer.chat_template:
        return opening(tokenizer, "".join(f"{message['content']}\n" for message in messages))
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return raw(tokenizer, str(text))  # the template writes the special tokens itself
