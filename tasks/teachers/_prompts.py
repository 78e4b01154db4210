"""What a teacher that is a language model is asked, in words: to locate, to rewrite, and to try again."""

from collections.abc import Sequence

from tasks.prompts import REFERENCE, STUDENT, question_text


def task(question: str, options: Sequence[str] | None, solution: str, lines: Sequence[str]) -> str:
    """The shared opening of what a teacher that chats is asked; `lines` are the sample's."""
    sample = "".join(lines).rstrip("\n")
    return f"{question_text(question, options)}\n{REFERENCE}{solution}\n\n{STUDENT}{sample}\n\n"


def locate_prompt(question: str, options: Sequence[str] | None, solution: str, lines: Sequence[str]) -> str:
    """Ask a teacher for the number of the sample's first wrong line."""
    numbered = [f"{number}. {line}" for number, line in enumerate(lines, start=1)]
    return task(question, options, solution, numbered) + (
        "The student's solution is wrong; its lines are numbered. Which is the first line that is wrong? "
        "Answer with the number of that line and nothing else."
    )


def rewrite_prompt(
    question: str, options: Sequence[str] | None, solution: str, lines: Sequence[str], located: int | None
) -> str:
    """Ask a teacher to rewrite the sample from its first wrong line on, or all of it where none was located."""
    how = (
        "Keep the student's words, numbers and notation wherever they are right, and change only what is wrong and "
        "what follows from it. Every equation must be true. State the answer as the student or the reference does. "
        "Write the solution only, without remarks, headings or line numbers."
    )
    asked = task(question, options, solution, lines)
    if located is None or located == 1:
        return f"{asked}Correct the student's solution with as few changes as possible. {how}"
    start = "".join(lines[: located - 1]).rstrip("\n")
    return (
        f"{asked}The student's solution is right up to here:\n{start}\n\n"
        f"Correct the rest with as few changes as possible, and write only what comes after these lines. {how}"
    )


def again_prompt(edits: int, tokens: int, most: float) -> str:
    """Ask a teacher again, whose rewrite was right but changed too much: `edits` of `tokens` tokens."""
    return (
        f"That is right, but it changes {edits} of {tokens} tokens ({edits / max(tokens, 1):.0%}), and at most "
        f"{most:.0%} may change. Write it again, closer to the student's own words, in the same form."
    )
