"""How the scripted teacher makes a line of a sample say what reference steps say, in the line's own words."""

import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import permutations

from tasks.equations import Number
from tasks.teachers._alignment import Changes
from tasks.teachers._meaning import counts_else, foreign_share, is_about
from tasks.teachers._reference import Reference
from tasks.teachers._steps import NUMBER_WORDS, Statement, Step

# The share of a line's words that a reference step must have too, for the line to take its equation:
SHARED_SAME_OPERAND, SHARED_SAME_OPERATION, SHARED_OTHER_OPERATION = 0.2, 0.34, 0.5
# The share of what the line takes from the question that the reference step need not speak of:
FOREIGN_SAME_OPERATION, FOREIGN_OTHER_OPERATION = 0.5, 0.0

OPERATION = """altogether average combined difference double each fewer half left less more product remaining sum times
    together total triple twice"""
OPERATION_WORDS = frozenset(OPERATION.split())


def between(step: Step, before: Sequence[Step], reference: Reference, changed: Changes) -> str | None:
    """A line without an equation, its numbers put right; None where it must go.

    It stays if it is complete, was not said before, is about this problem, and all its numbers are known.
    """
    if not step.text.strip():
        return step.text
    if step.equations or step.is_open or any(step.text == other.text for other in before):
        return None
    foreign = len(step.vocabulary - reference.vocabulary)
    if step.variables - reference.variables:
        return None
    wrong = [n for n in step.numbers if n.value in changed or n.value not in reference.known]
    misread = {value for other in before for value in other.results} - reference.computed - changed.keys()
    if any(number.value in misread for number in step.numbers):
        return None  # a number of the question too, but here what an earlier line worked out wrongly
    if foreign > len(step.vocabulary) * 2 / 3 or any(number.value not in changed for number in wrong):
        return None
    return with_numbers(step.text, wrong, changed)


def with_numbers(text: str, places: Iterable[Number], changed: Changes) -> str:
    """The text with the numbers at `places` changed where `changed` says how."""
    for number in sorted(places, key=lambda n: -n.start):
        if number.value in changed:
            text = text[: number.start] + changed[number.value] + text[number.end :]
    return text


def unsigned(text: str, number: Number) -> int:
    """Where a number starts together with a minus sign of its own, as in "= $-5"."""
    sign = re.search(r"(?<=[=$])\s?[-−]\s?\$?$|(?<=[=$]\s)[-−]\s?\$?$", text[: number.start])
    return number.start - len(sign[0].lstrip()) if sign else number.start


def adaptations(
    step: Step, targets: Sequence[Step], reference: Reference, changed: Changes
) -> Iterator[tuple[str, Changes]]:
    """The line made to say what the reference steps say: replaced, as it is, or with their equations."""
    wanted = [(statement, target) for target in targets for statement in target.statements]
    if len(targets) == 1:
        yield step.indent + targets[0].text.lstrip(), {}
    if not all(target.statements for target in targets) or not step.equations or step.is_open:
        return
    if len(step.statements) == len(wanted) and _means_the_same(step, wanted, reference):
        yield from _with_statements(step, wanted, reference, changed)


Wanted = Sequence[tuple[Statement, Step]]  # statements to be made, each with the reference step that makes it


def _means_the_same(step: Step, wanted: Wanted, reference: Reference) -> bool:
    """Whether the line may take the wanted statements; more must speak for it where it computes otherwise."""
    pairs = [(old, new, source) for old, (new, source) in zip(step.statements, wanted, strict=True)]
    if not is_about(step, pairs, reference):
        return False
    sources = list(dict.fromkeys(source for _, source in wanted))
    computes_alike = all(old.structure == new.structure for old, new, _ in pairs)
    if computes_alike:
        has_operand = all(any(a.value == b.value for a, b in _paired(old, new, {})[:-1]) for old, new, _ in pairs)
        share, foreign = SHARED_SAME_OPERAND if has_operand else SHARED_SAME_OPERATION, FOREIGN_SAME_OPERATION
    else:
        share, foreign = SHARED_OTHER_OPERATION, FOREIGN_OTHER_OPERATION
        if (step.vocabulary - set().union(*(source.vocabulary for source in sources))) & OPERATION_WORDS:
            return False
    content = set().union(*(source.content for source in sources))
    is_alike = len(step.content & content) >= share * len(step.content)
    return is_alike and foreign_share(step, sources, reference) <= foreign


def _with_statements(
    step: Step, wanted: Wanted, reference: Reference, changed: Changes
) -> Iterator[tuple[str, Changes]]:
    """The line with the wanted statements for its own, the numbers in its words following; none if unfit."""
    fates: Fates = {}
    edits: list[Edit] = []
    alike = True
    for old, (new, source) in zip(step.statements, wanted, strict=True):
        if old.structure == new.structure:
            pairs = _paired(old, new, changed)
            if any(a.value != b.value and counts_else(step, a, source, b, reference) for a, b in pairs):
                return
            signs = {b: source.text[unsigned(source.text, b) : b.start].strip("$ ") for _, b in pairs}
            starts = {a: a.start if signs[b] else unsigned(step.text, a) for a, b in pairs}
            edits += [(starts[a], a.end, b.text) for a, b in pairs if a.value != b.value or starts[a] != a.start]
        else:
            alike = False
            pairs = [(old.numbers[-1], new.numbers[-1])]
            edits.append((old.start, old.end, source.text[new.start : new.end]))
        for a, b in pairs[:-1]:
            fates.setdefault(a.value, {})[b.value] = b.text
        fates.setdefault(pairs[-1][0].value, {pairs[-1][1].value: pairs[-1][1].text})
    changes = {old: text for old, fate in fates.items() for new, text in fate.items() if new != old}
    right = {n.value for s, _ in wanted for n in s.numbers} - changes.keys()
    following = _following(step, fates, right, reference, changed if alike else {})
    if following is None or any(NUMBER_WORDS[word] in changes for word in step.vocabulary & NUMBER_WORDS.keys()):
        return  # "twice as many" would no longer agree with its equation
    text = step.text
    for start, end, piece in sorted(edits + following, reverse=True):
        text = text[:start] + piece + text[end:]
    yield text, changes


Edit = tuple[int, int, str]  # the text between two places of the line, and what comes for it
Fates = dict[Fraction | None, dict[Fraction | None, str]]  # a value of the line's statements → what stands there now


def _following(
    step: Step, fates: Fates, right: set[Fraction | None], reference: Reference, changed: Changes
) -> list[Edit] | None:
    """How the numbers in the line's words follow those of its statements; None where that makes no sense."""
    edits: list[Edit] = []
    for number in step.said:
        fate = fates.get(number.value, {})
        if len(fate) > 1:
            return None  # two numbers were equal and no longer are: it is not clear which is meant
        if number.value in fate or (number.value in right and not fate):
            continue
        text = next(iter(fate.values()), changed.get(number.value))
        if text is None and number.value not in reference.known:
            return None
        if text is not None and number.value in reference.asked:
            return None  # what the question says is not wrong, but does not belong here
        if text is not None:
            edits.append((number.start, number.end, text))
    return edits


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
