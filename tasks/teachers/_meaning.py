"""Whether a line of a sample is about what a reference step is about, however it computes that.

    line       Richie scored 80 + 20 = 100 goals.
    reference  If Richie scored 80 goals, which is 20 more than Mark, Mark scored 80 - 20 = 60 goals.

The line works out Richie's goals and the step Mark's, so it must not take the step's equation.
"""

from collections.abc import Sequence

from tasks.equations import Number
from tasks.teachers._reference import Reference
from tasks.teachers._steps import Statement, Step, step_of

Pair = tuple[Statement, Statement, Step]  # a statement of the line, one of a reference step, and that step

COMPARING = ("as", "than")  # "two years older than Corey" is not about Corey


def is_about(step: Step, pairs: Sequence[Pair], reference: Reference) -> bool:
    """Whether names and what the results count allow that both compute the same thing."""
    mine, theirs = _subject(step, pairs[0][0], reference), _subject(pairs[0][2], pairs[0][1], reference)
    if mine and theirs and mine != theirs:
        return False
    return not any(counts_else(step, a.numbers[-1], source, b.numbers[-1], reference) for a, b, source in pairs)


def counts_else(step: Step, number: Number, source: Step, other: Number, reference: Reference) -> bool:
    """Whether the number of the line counts other things than the reference's number that shall stand there."""
    things = step.counted(number.start, number.end) & reference.counted
    others = source.counted(other.start, other.end) or reference.counts.get(other.value, set())
    return bool(things and others & reference.counted and not things & others)


def foreign_share(step: Step, sources: Sequence[Step], reference: Reference) -> float:
    """How much of what the line takes from the question the reference steps do not speak of, 0 to 1."""
    numbers = {n.value for source in sources for n in source.numbers}
    words = set().union(*(source.content for source in sources))
    said = {n.value for n in step.said if n.value in reference.asked}
    taken = step.content & reference.content
    return (len(said - numbers) + len(taken - words)) / max(len(said) + len(taken), 1)


def _subject(step: Step, statement: Statement, reference: Reference) -> str | None:
    """Whose number a statement works out: the last name before it that is not compared with."""
    words = ["", *step_of(step.text[: statement.start]).words]
    for before, word in zip(words[-2::-1], words[:0:-1], strict=True):
        if word in reference.names and before not in COMPARING:
            return word
    return None
