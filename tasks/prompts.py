"""Every prompt, and every completion, as token ids: one function each, used in training and inference alike.

A sample enters a prompt as the ids that were sampled; nothing is decoded and tokenised again. A prompt ends with
a line break and a completion starts at a line's beginning, so the two meet between tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What stands before each part of a prompt.
SOLUTION, REFERENCE, STUDENT = "Solution:\n", "Reference solution:\n", "Student solution:\n"
RIGHT_SOLUTION, WRONG_SOLUTION = "Right solution:\n", "Wrong solution:\n"
CORRECTED, WRONG_LINE = "\nCorrected solution:\n", "\nFirst wrong line:\n"
CHOICE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def encode(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of `text` with nothing added to it."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of token ids, without EOS and its like."""
    text = tokenizer.decode(list(ids), skip_special_tokens=True)
    assert isinstance(text, str)  # a list comes only of a list of lists
    return text


def start(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The BOS that a tokenizer puts before a text of its own, if it does."""
    return [tokenizer.bos_token_id] if getattr(tokenizer, "add_bos_token", False) else []


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
    label = SOLUTION if verdict is None else RIGHT_SOLUTION if verdict else WRONG_SOLUTION
    return start(tokenizer) + encode(tokenizer, question_text(question, options) + label)


def solution_completion(tokenizer: PreTrainedTokenizerBase, solution: str) -> list[int]:
    """A reference solution as a completion: its ids and EOS."""
    return [*encode(tokenizer, solution), tokenizer.eos_token_id]


def given(
    tokenizer: PreTrainedTokenizerBase, question: str, options: Sequence[str] | None, solution: str | None
) -> list[int]:
    """The shared opening of both GRM prompts: the problem and, where there is one, its reference solution."""
    reference = "" if solution is None else f"{REFERENCE}{solution}\n"
    return start(tokenizer) + encode(tokenizer, f"{question_text(question, options)}{reference}{STUDENT}")


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
    """The answer to a locate prompt: the line's number and EOS."""
    return [*encode(tokenizer, str(line)), tokenizer.eos_token_id]


def parse_located_line(text: str, lines: int) -> int | None:
    """The line that a locate answer names, in 1..lines, or None. Strict: " 12" is 12, "12 or 13" is nothing."""
    stripped = text.strip().removesuffix(".")
    if not (stripped.isascii() and stripped.isdigit() and len(stripped) <= 6):
        return None
    line = int(stripped)
    return line if 1 <= line <= lines else None


def without_eos(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """The ids of a completion without the EOS that ended it."""
    ids = list(ids)
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


@cache
def token_text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    """The text of a token alone; a special token has none."""
    return decode(tokenizer, [token])


def line_spans(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[tuple[int, int]]:
    """The (first, end) positions of each line of a completion, EOS left out.

    A line ends with the token that holds its line break; blank lines belong to the line before them. So spans
    follow each other without gaps.
    """
    ids = without_eos(tokenizer, ids)
    texts = [token_text(tokenizer, token) for token in ids]
    spans: list[tuple[int, int]] = []
    first = 0
    for position, text in enumerate(texts):
        following = texts[position + 1] if position + 1 < len(texts) else "x"
        if "\n" in text and following.strip():
            spans.append((first, position + 1))
            first = position + 1
    if first < len(ids):
        spans.append((first, len(ids)))
    return spans


def teacher_task(question: str, options: Sequence[str] | None, solution: str, lines: Sequence[str]) -> str:
    """The shared opening of what a teacher that chats is asked; `lines` are the sample's."""
    sample = "".join(lines).rstrip("\n")
    return f"{question_text(question, options)}\n{REFERENCE}{solution}\n\n{STUDENT}{sample}\n\n"


def teacher_locate_prompt(question: str, options: Sequence[str] | None, solution: str, lines: Sequence[str]) -> str:
    """Ask a teacher for the number of the sample's first wrong line."""
    numbered = [f"{number}. {line}" for number, line in enumerate(lines, start=1)]
    return teacher_task(question, options, solution, numbered) + (
        "The student's solution is wrong; its lines are numbered. Which is the first line that is wrong? "
        "Answer with the number of that line and nothing else."
    )


def teacher_rewrite_prompt(
    question: str, options: Sequence[str] | None, solution: str, lines: Sequence[str], located: int | None
) -> str:
    """Ask a teacher to rewrite the sample from its first wrong line on, or all of it where none was located."""
    how = (
        "Keep the student's words, numbers and notation wherever they are right, and change only what is wrong and "
        "what follows from it. Every equation must be true. State the answer as the student or the reference does. "
        "Write the solution only, without remarks, headings or line numbers."
    )
    task = teacher_task(question, options, solution, lines)
    if located is None or located == 1:
        return f"{task}Correct the student's solution with as few changes as possible. {how}"
    start = "".join(lines[: located - 1]).rstrip("\n")
    return (
        f"{task}The student's solution is right up to here:\n{start}\n\n"
        f"Correct the rest with as few changes as possible, and write only what comes after these lines. {how}"
    )


def teacher_again_prompt(edits: int, tokens: int, most: float) -> str:
    """Ask a teacher again, whose rewrite was right but changed too much: `edits` of `tokens` tokens."""
    return (
        f"That is right, but it changes {edits} of {tokens} tokens ({edits / max(tokens, 1):.0%}), and at most "
        f"{most:.0%} may change. Write it again, closer to the student's own words, in the same form."
    )
