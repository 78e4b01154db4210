"""What the scripted teacher reads in a reference solution: its steps, and what each value in it rests on.

    question   Two girls each got 1/6 of 24 liters. Then a boy got 6 liters. How many liters were left?
    reference  Each girl got 24 x 1/6 = 4.|Both got 4 x 2 = 8.|All got 8 + 6 = 14.|So 24 - 14 = 10 were left.
    sample     Each girl got 1/6 x 24 = 4.|With the boy's that is 4 + 6 = 10.

The sample's 10 is no sound way to the answer 10: it goes back to 1/6, 24 and 6, but not to the two girls. Its 4
is what the reference means by 4.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from tasks.equations import numbers
from tasks.teachers import Problem
from tasks.teachers._steps import ANSWER_LINE, FUNCTION_WORDS, NUMBER_WORDS, Step, step_of

ORDINALS = frozenset(("first", "second", "third", "fourth", "fifth", "sixth", "last"))
COMMON = {Fraction(1), Fraction(2), Fraction(1, 2), Fraction(100)}  # factors that say little of a value's origin
Made = tuple[int, Fraction]  # the place of a reference step, and a value that it makes


class Origin(NamedTuple):
    """Where a value comes from, as far as text tells.

    It is made from the numbers in `used`; values that the reference does not compute stand there for what they
    are made from in turn. It goes back to at least `least` and at most `most` of the question's numbers, which
    differ where one of these is also the result of an earlier line, as is likelier meant.
    """

    used: frozenset[Fraction] = frozenset()
    least: frozenset[Fraction] = frozenset()
    most: frozenset[Fraction] = frozenset()
    in_money: bool | None = None  # None where the line does not say what it counts

    def agrees(self, other: "Origin") -> bool:
        """Whether both can be the same thing, and not numbers that are equal by chance."""
        if self.in_money is not None and other.in_money is not None and self.in_money != other.in_money:
            return False
        if self.used and other.used and not self.used & other.used:
            return False
        return self.least <= other.most and other.least <= self.most


class Trace:
    """The values that lines compute one after the other, each with its origin."""

    def __init__(self, asked: set[Fraction], computed: set[Fraction]) -> None:
        self.asked = asked
        self.kinds = {_kind(value) for value in asked} - {Fraction(1)}
        self.computed = computed  # by the reference
        self.origins: dict[Fraction, Origin] = {}

    def add(self, step: Step, in_words: bool = False) -> dict[Fraction, Origin]:
        """The values that the line makes, each with its origin; `in_words` also those of "Half of 318 is 159"."""
        made: dict[Fraction, Origin] = {}
        for statement in step.statements:
            first = statement.parts[0]
            origin = self._origin(n.value for n in first.numbers + first.stated_numbers[1:])
            last = statement.numbers[-1]
            counted = step.counted(last.start, last.end)
            origin = origin._replace(in_money="$" in counted if counted else None)
            own = {part.stated_value: origin for part in statement.parts if part.stated_value is not None}
            self._remember(own)
            made |= own
        if in_words and not step.equations:
            values = {n.value for n in step.numbers if n.value is not None}
            made = dict.fromkeys(values - self.asked, self._origin(values))
            self._remember(made)
        return made

    def _remember(self, made: dict[Fraction, Origin]) -> None:
        """A value that was made twice may go back to either."""
        for value, new in made.items():
            old = self.origins.get(value, new)
            self.origins[value] = new._replace(least=old.least & new.least, most=old.most | new.most)

    def _origin(self, values: Iterable[Fraction | None]) -> Origin:
        found = Origin()
        for value in values:
            if value is not None:
                kind = frozenset({_kind(value)})
                own = Origin(frozenset() if value in COMMON else kind, kind & self.kinds, kind & self.kinds)
                earlier = self.origins.get(value, own)
                used = own.used if value in self.computed else earlier.used
                found = Origin(found.used | used, found.least | earlier.least, found.most | earlier.most | own.most)
        return found


def _kind(value: Fraction) -> Fraction:
    """One value for 25 %, 0.25, 1/4, 25 and 4, which texts write for each other."""
    forms = [form for v in (value, 1 / value if value else value) for form in (v, v * 100, v / 100)]
    return min((form for form in forms if form.denominator == 1), default=value)


class Reference:
    """The reference solution: its steps, what each makes, and which numbers come from nowhere."""

    def __init__(self, problem: Problem) -> None:
        lines = [line for line in problem.solution.split("\n") if line.strip()]
        ends = bool(lines) and ANSWER_LINE.fullmatch(lines[-1]) is not None
        self.answer_line = lines.pop() if ends else f"The answer is {problem.answer}"
        self.steps = [step_of(line) for line in lines]
        self.answer = _number(problem.answer)
        self._read_words(step_of(problem.question))
        self._trace_values()
        self.ends_in_answer = self.answer is not None and self.answer in self.computed
        self.target = self._target()

    def _read_words(self, question: Step) -> None:
        """Who and what the problem is about, its numbers, and what each of them counts."""
        lines = [question, *self.steps]
        self.asked = _asked_values(question)
        self.vocabulary = set().union(*(line.vocabulary for line in lines))
        self.variables = set().union(*(line.variables for line in lines))
        lower = {word for line in lines for word in line.words if word.islower()} | FUNCTION_WORDS
        self.names = {word for word in question.words if word.istitle() and word.lower() not in lower}
        self.names |= ORDINALS & question.vocabulary
        self.content = question.content & set().union(*(step.content for step in self.steps))
        self.content -= {name.lower().rstrip("s") for name in self.names}
        self.counts: dict[Fraction | None, set[str]] = {}
        for line in lines:
            for number in line.numbers:
                self.counts.setdefault(number.value, set()).update(line.counted(number.start, number.end))
        self.counted = set().union(*self.counts.values())

    def _trace_values(self) -> None:
        """What each step makes, which values are computed at all, and which are given."""
        self.makes: list[dict[Fraction, Origin]] = []
        self.computed: set[Fraction] = set()
        trace = Trace(self.asked, self.computed)
        self.given = self.asked | COMMON - {Fraction(1, 2)}
        for step in self.steps:
            made = trace.add(step, in_words=True)
            if "=" not in step.text and len(made) == 1 and made.keys() <= self.computed:
                made = {}  # "So 16 are left." says again what the line before has worked out
            used = {n.value for e in step.equations for n in e.numbers if n.value is not None}
            self.given |= used - self.computed - made.keys()
            self.makes.append(made)
            self.computed.update(made)
        self.known = self.given | self.computed
        # What the reference knows without the question, such as 16 ounces in a pound:
        self.assumed = self.given - self.asked - COMMON

    def _target(self) -> Made | None:
        """The answer where it is made last; the last value of all where no step makes the answer."""
        made = [(j, value) for j, values in enumerate(self.makes) for value in values]
        return max(((j, v) for j, v in made if v == self.answer), default=made[-1] if made else None)

    def covers(self, made: Mapping[Fraction, Origin]) -> set[Made]:
        """What of the reference these values say: equal ones of one origin, made from a number in common."""
        return {
            (j, value)
            for j, values in enumerate(self.makes)
            for value in values.keys() & made.keys()
            if values[value].agrees(made[value])
        }

    def needed(self, established: set[Made]) -> list[int]:
        """The places of the steps that the answer still needs when these values are there already."""
        missing = {j for j in range(len(self.steps)) if not self._is_said(j, established)}
        if not self.ends_in_answer or self.target is None:
            return sorted(missing)
        if self.target in established:
            return []
        wanted: set[int] = set()
        queue = [self.target[0]]
        while queue:
            j = queue.pop()
            if j in wanted:
                continue
            wanted.add(j)
            queue += [k for k in missing if k < j] if self._is_opaque(j) else self._sources(j, established)
        return sorted(wanted)

    def _is_said(self, j: int, established: set[Made]) -> bool:
        return bool(self.makes[j]) and all((j, value) in established for value in self.makes[j])

    def _is_opaque(self, j: int) -> bool:
        """Whether a step makes a new value without an equation ("Thus x = 20"): then it may need all before it."""
        before = set().union(*self.makes[:j])
        step = self.steps[j]
        return bool(step.variables) or (not step.equations and bool(self.makes[j].keys() - before))

    def _sources(self, j: int, established: set[Made]) -> Iterator[int]:
        """The places of the earlier steps whose values step j uses, unless those are established."""
        for number in self.steps[j].numbers:
            makers = [(k, number.value) for k in range(j) if number.value in self.makes[k]]
            if makers and makers[-1] not in established:
                yield makers[-1][0]


def _number(answer: str) -> Fraction | None:
    """The value of an answer that holds exactly one number; None otherwise."""
    found = numbers(answer)
    if len(found) != 1 or found[0].value is None:
        return None
    return -found[0].value if answer[: found[0].start].rstrip("$ ").endswith(("-", "−")) else found[0].value


def _asked_values(question: Step) -> set[Fraction]:
    """The numbers of a question, in digits or words; percentages also as hundredths."""
    values = {NUMBER_WORDS[word] for word in question.vocabulary if word in NUMBER_WORDS}
    for number in question.numbers:
        if number.value is not None:
            values |= {number.value, number.value / 100} if number.is_percent else {number.value}
    return values


def grounded(step: Step, known: set[Fraction]) -> bool:
    """Whether each equation of the step starts from known numbers or from the step's earlier results."""
    known = set(known)
    for equation in step.equations:
        if any(n.value not in known for n in equation.numbers):
            return False
        known |= {n.value for n in equation.stated_numbers if n.value is not None}
        if equation.stated_value is not None:
            known.add(equation.stated_value)
    return True
