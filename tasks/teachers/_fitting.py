"""How the scripted teacher makes a line of a sample say what reference steps say, in the line's own words."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import permutations

from tasks.equations import Number
from tasks.teachers._alignment import Changes
from tasks.teachers._steps import NUMBER_WORDS, Reference, Statement, Step, grounded, step_of

# The share of a line's words that a reference step must have too, for the line to take its equation:
SHARED_SAME_OPERAND, SHARED_SAME_OPERATION, SHARED_OTHER_OPERATION = 0.2, 0.34, 0.85


def between(step: Step, before: Sequence[Step], reference: Reference, changed: Changes) -> str | None:
    """A line without an equation, its numbers put right; None where it must go.

    It stays if it is complete, was not said before, is about this problem, and all its numbers are known.
    """
    if not step.text.strip():
        return step.text
    if step.equations or step.is_open or any(step.text == other.text for other in before):
        return None
    foreign = len(step.vocabulary - reference.vocabulary)
    wrong = [n for n in step.numbers if n.value in changed or n.value not in reference.known]
    if foreign > len(step.vocabulary) * 2 / 3 or any(number.value not in changed for number in wrong):
        return None
    return with_numbers(step.text, wrong, changed)


def with_numbers(text: str, places: Iterable[Number], changed: Changes) -> str:
    """The text with the numbers at `places` changed where `changed` says how."""
    for number in sorted(places, key=lambda n: -n.start):
        if number.value in changed:
            text = text[: number.start] + changed[number.value] + text[number.end :]
    return text


def adaptations(
    step: Step, targets: Sequence[Step], reference: Reference, changed: Changes
) -> Iterator[tuple[str, Changes]]:
    """The line made to say what the reference steps say: replaced, as it is, or with their equations."""
    wanted = [s for target in targets for s in target.statements]
    if len(targets) == 1:
        yield step.indent + targets[0].text.lstrip(), {}
    if not wanted or not step.equations or step.is_open:
        return
    if step.is_true and wanted[-1].result == step.results[-1] and grounded(step, reference.known):
        yield step.text, {}
    if len(step.statements) == len(wanted):
        joined = step_of(" ".join(target.text for target in targets))
        if _means_the_same(step, joined, wanted, reference):
            yield from _with_statements(step, targets, reference, changed)


def _means_the_same(step: Step, other: Step, wanted: list[Statement], reference: Reference) -> bool:
    """Whether the line is about what the reference step is about, by names, units, words, operation."""
    mine, theirs = reference.names & set(step.words), reference.names & set(other.words)
    if mine and theirs and not mine & theirs:
        return False
    share = SHARED_SAME_OPERAND
    for old, new in zip(step.statements, wanted, strict=True):
        if old.structure != new.structure:
            share = SHARED_OTHER_OPERATION
        elif not any(a.value == b.value for a, b in _paired(old, new, {})[:-1]):
            share = max(share, SHARED_SAME_OPERATION)
    mine, theirs = {step.unit} & reference.asked_words, {other.unit} & reference.asked_words
    if mine and theirs and mine != theirs:
        share = SHARED_OTHER_OPERATION
    return len(step.vocabulary & other.vocabulary) >= share * len(step.vocabulary)


def _with_statements(
    step: Step, targets: Sequence[Step], reference: Reference, changed: Changes
) -> Iterator[tuple[str, Changes]]:
    """The line with the targets' equations for its own, the numbers in its words following; none if unfit."""
    wanted = [(s, target.text) for target in targets for s in target.statements]
    changes: Changes = {}
    edits: list[tuple[int, int, str]] = []
    for old, (new, source) in zip(step.statements, wanted, strict=True):
        if old.structure == new.structure:
            pairs = [(a, b) for a, b in _paired(old, new, changed) if a.value != b.value]
            edits += [(a.start, a.end, b.text) for a, b in pairs]
            changes |= {a.value: b.text for a, b in pairs if a.value is not None}
        else:
            edits.append((old.start, old.end, source[new.start : new.end]))
            if old.result is not None and new.result != old.result and new.parts[-1].stated_numbers:
                changes[old.result] = new.parts[-1].stated_numbers[-1].text
    right = {n.value for s, _ in wanted for n in s.numbers}
    for number in step.said:
        text = changes.get(number.value) or (None if number.value in right else changed.get(number.value))
        if text is not None:
            edits.append((number.start, number.end, text))
        elif number.value not in reference.known | right:
            return
    if any(NUMBER_WORDS[word] in changes for word in step.vocabulary & NUMBER_WORDS.keys()):
        return  # "twice as many" would no longer agree with its equation
    text = step.text
    for start, end, piece in sorted(edits, reverse=True):
        text = text[:start] + piece + text[end:]
    yield text, changes


def _paired(old: Statement, new: Statement, changed: Changes) -> list[tuple[Number, Number]]:
    """The numbers of two statements of one structure side by side; a sum or product in its best order."""
    first, second = old.numbers, new.numbers
    operators = set(old.structure) - {"N", "="}
    if len(old.parts) > 1 or len(operators) != 1 or not operators <= {"+", "*"} or len(first) > 6:
        return list(zip(first, second, strict=True))

    def fitness(order: Sequence[Number]) -> int:
        pairs = list(zip(first, order, strict=False))
        return sum(2 * (changed.get(a.value) == b.text) + (a.value == b.value) for a, b in pairs)

    return list(zip(first, [*max(permutations(second[:-1]), key=fitness), second[-1]], strict=True))
