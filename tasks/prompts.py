"""Every prompt, and every completion, as token ids: one function each, used in training and inference alike.

A sample enters a prompt as the ids that were sampled; nothing is decoded and tokenised again. A prompt ends with
a line break and a completion starts at a line's beginning, so the two meet between tokens.

A tokenizer with a chat template asks the policy through it, as its model was trained to be asked, and its end of turn
ends every completion. The GRM's prompts are plain text all the same: it is trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from tasks.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What stands before each part of a prompt.
SOLUTION, REFERENCE, STUDENT = "Solution:\n", "Reference solution:\n", "Student solution:\n"
RIGHT_SOLUTION, WRONG_SOLUTION = "Right solution:\n", "Wrong solution:\n"
CORRECTED, WRONG_LINE = "\nCorrected solution:\n", "\nFirst wrong line:\n"
REQUEST = "Give a {kind}solution, a line for each step. Its last line says: The answer is ANSWER."  # in a chat
CHOICE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of `text` as it stands behind a line break, with nothing added to it.

    A SentencePiece-like tokenizer puts a space before what it takes for the start of a text; here that is the break.
    """
    before, ids = line_break(tokenizer), raw(tokenizer, f"\n{text}")
    return ids[len(before) :] if tuple(ids[: len(before)]) == before else raw(tokenizer, text)


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of token ids as they stand behind a line break, without EOS and its like."""
    before = line_break(tokenizer)
    text = tokenizer.decode([*before, *ids], skip_special_tokens=True)
    assert isinstance(text, str)  # a list comes only of a list of lists
    return text[len(tokenizer.decode(list(before), skip_special_tokens=True)) :]


def raw(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a whole text, without BOS and EOS."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


@cache
def line_break(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The token ids of a line break."""
    return tuple(raw(tokenizer, "\n"))


@cache
def start(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """What a tokenizer puts before a text of its own accord: BOS, or nothing. It is seen from what it does: the
    attribute `add_bos_token` says nothing where a post-processor adds it."""
    ids, plain = tokenizer("a")["input_ids"], raw(tokenizer, "a")
    first = next((first for first in range(len(ids)) if ids[first : first + len(plain)] == plain), 0)
    return tuple(ids[:first])


@cache
def end(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a completion: that of a chat template's turn, or else EOS. (Gemma's are not the same.)"""
    if tokenizer.chat_template:
        turn = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "REPLY"}]
        after = str(tokenizer.apply_chat_template(turn, tokenize=False)).rpartition("REPLY")[2]
        for token in raw(tokenizer, after):
            if token in tokenizer.added_tokens_decoder:
                return token
    return tokenizer.eos_token_id


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """UserError for a tokenizer that cannot end a completion, or does not keep its lines."""
    name = f"the tokenizer of {tokenizer.name_or_path}"
    if end(tokenizer) is None:
        raise UserError(f"{name} has no EOS, so no completion would end: set eos_token in its tokenizer_config.json")
    if decode(tokenizer, encode(tokenizer, "1\n2")) != "1\n2":
        raise UserError(f"{name} loses line breaks, and solutions are rewritten line by line: use another checkpoint")


def check_same_tokens(ours: PreTrainedTokenizerBase, theirs: PreTrainedTokenizerBase, who: str) -> None:
    """UserError where two models do not read the same token ids."""
    if ours.get_vocab() != theirs.get_vocab() or end(ours) != end(theirs):
        raise UserError(
            f"{who} and the policy have different tokenizers or chat templates ({ours.name_or_path}, "
            f"{theirs.name_or_path}): samples pass between them as token ids, so both must be the same"
        )


def question_text(question: str, options: Sequence[str] | None) -> str:
    """The problem as the policy and the GRM read it; a choice problem lists its options, a letter each."""
    if not options:
        return f"Question: {question}\n"
    lines = "".join(f"({letter}) {text}\n" for letter, text in zip(CHOICE_LETTERS, options, strict=False))
    return f"Question: {question}\n{lines}"


def all_text(problem: Mapping[str, Any]) -> str:
    """All that is read or written about a problem, for a tokenizer to be trained on: with the words before each
    part of a prompt, or they would be read letter by letter."""
    parts = (question_text(problem["question"], problem["options"]), SOLUTION, problem["solution"], "\n")
    return "".join((*parts, REFERENCE, STUDENT, CORRECTED, WRONG_LINE, RIGHT_SOLUTION, WRONG_SOLUTION))


def solve_prompt(
    tokenizer: PreTrainedTokenizerBase, question: str, options: Sequence[str] | None, verdict: bool | None = None
) -> list[int]:
    """Ask for a solution; with a verdict for a right or for a wrong one (chain of hindsight, arXiv 2302.02676)."""
    problem = question_text(question, options)
    if tokenizer.chat_template:
        kind = "" if verdict is None else "right " if verdict else "wrong "
        return chat_prompt(tokenizer, problem + REQUEST.format(kind=kind))
    label = SOLUTION if verdict is None else RIGHT_SOLUTION if verdict else WRONG_SOLUTION
    return opening(tokenizer, problem + label)


def opening(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of the text that a prompt starts with, after BOS where the tokenizer has it."""
    return [*start(tokenizer), *raw(tokenizer, text)]


def chat_prompt(tokenizer: PreTrainedTokenizerBase, request: str) -> list[int]:
    """A user's request, up to where the assistant speaks, with BOS once: most templates write it, some do not. A model
    that can think before it speaks is asked not to."""
    turn = [{"role": "user", "content": request}]
    text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    ids, first = raw(tokenizer, str(text)), start(tokenizer)
    return ids if tuple(ids[: len(first)]) == first else [*first, *ids]


def solution_completion(tokenizer: PreTrainedTokenizerBase, solution: str) -> list[int]:
    """A reference solution as a completion: its ids and the token that ends it."""
    return [*encode(tokenizer, solution), end(tokenizer)]


def given(
    tokenizer: PreTrainedTokenizerBase, question: str, options: Sequence[str] | None, solution: str | None
) -> list[int]:
    """The shared opening of both GRM prompts: the problem and, where there is one, its reference solution."""
    reference = "" if solution is None else f"{REFERENCE}{solution}\n"
    return opening(tokenizer, f"{question_text(question, options)}{reference}{STUDENT}")


def grm_parts(
    problem: Mapping[str, Any], sample: Mapping[str, Any], with_reference: bool = True
) -> tuple[str, list[str] | None, str | None, list[int]]:
    """What both GRM prompts are made of, from rows of the problems and samples tables."""
    solution = problem["solution"] if with_reference else None
    return problem["question"], problem["options"], solution, sample["completion_ids"]


def rewrite_prompt(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    options: Sequence[str] | None,
    solution: str | None,
    sample_ids: Sequence[int],
) -> list[int]:
    """Ask the GRM to rewrite a sample; it never names the wrong line. Scoring uses the same prompt."""
    sample = without_eos(tokenizer, sample_ids)
    opening = given(tokenizer, question, options, solution)
    return [*opening, *sample, *encode(tokenizer, CORRECTED)]


def locate_prompt(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    options: Sequence[str] | None,
    solution: str | None,
    sample_ids: Sequence[int],
) -> list[int]:
    """Ask the GRM for the number of the sample's first wrong line; the sample's lines are numbered from 1."""
    prompt = given(tokenizer, question, options, solution)
    for number, (first, end) in enumerate(line_spans(tokenizer, sample_ids), start=1):
        prompt += [*encode(tokenizer, f"{number}. "), *sample_ids[first:end]]
    return [*prompt, *encode(tokenizer, WRONG_LINE)]


def locate_completion(tokenizer: PreTrainedTokenizerBase, line: int) -> list[int]:
    """The answer to a locate prompt: the line's number and the token that ends it."""
    return [*encode(tokenizer, str(line)), end(tokenizer)]


def parse_located_line(text: str, lines: int) -> int | None:
    """The line that a locate answer names, in 1..lines, or None. Strict: " 12" is 12, "12 or 13" is nothing."""
    stripped = text.strip().removesuffix(".")
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) <= 6):
        return None
    line = int(stripped)
    return line if 1 <= line <= lines else None


def without_eos(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """The ids of a completion without the token that ended it."""
    ids = list(ids)
    return ids[:-1] if ids and ids[-1] == end(tokenizer) else ids


@cache
def token_text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """The text of a token alone; a special token has none."""
    return decode(tokenizer, [token])


def line_spans(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[tuple[int, int]]:
    """The (first, end) positions of each line of a completion, EOS left out.

    A line ends with the token that holds its line break; blank lines belong to the line before them, and those at the
    head to the first. So spans follow each other without gaps, and are as many as `tasks.rewrites.lines_of` finds.
    """
    ids = without_eos(tokenizer, ids)
    spans: list[tuple[int, int]] = []
    first, after_break, is_begun = 0, 0, False
    for position, token in enumerate(ids):
        text = token_text(tokenizer, token)
        if text.strip():
            if after_break and is_begun:
                spans.append((first, after_break))
                first = after_break
            after_break, is_begun = 0, True
        if "\n" in text:
            after_break = position + 1
    return [*spans, (first, len(ids))] if ids else []
