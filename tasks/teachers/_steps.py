"""What the scripted teacher reads in a solution: each line's statements, and what the reference computes."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

from rapidfuzz.distance import Levenshtein

from tasks.equations import Equation, Number, equations, numbers
from tasks.teachers import Problem

WORD = re.compile(r"\w+|[^\w\s]")
ANSWER_LINE = re.compile(
    r"(?P<form>\s*(?:A ?:|####|(?:[A-Za-z]+,? ){0,2}?the (?:final |correct )?answer (?:is\b ?:?|:)) *)"
    r"(?P<answer>.*)",
    re.IGNORECASE,
)
SMALL = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
NUMBER_WORDS = {word: Fraction(value) for value, word in enumerate(SMALL)}
NUMBER_WORDS |= {"half": Fraction(1, 2), "twice": Fraction(2), "thrice": Fraction(3), "dozen": Fraction(12)}
NUMBER_WORDS |= {"double": Fraction(2), "triple": Fraction(3), "third": Fraction(3), "quarter": Fraction(4)}


@dataclass(frozen=True)
class Statement:
    """A chain `a = b = …` of one or more equations at `text[start:end]` of a line."""

    start: int
    end: int
    parts: tuple[Equation, ...]

    @property
    def numbers(self) -> list[Number]:
        return [n for part in self.parts for n in part.numbers] + list(self.parts[-1].stated_numbers)

    @property
    def structure(self) -> str:
        return "=".join(part.structure for part in self.parts) + "=" * (len(self.parts[-1].stated_numbers))

    @property
    def result(self) -> Fraction | None:
        return self.parts[-1].stated_value


class Step:
    """One line of a solution and what it computes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = WORD.findall(text)
        self.equations = equations(text)
        self.numbers = numbers(text)

    @property
    def indent(self) -> str:
        return self.text[: len(self.text) - len(self.text.lstrip())]

    def edits(self, text: str) -> int:
        """Token edits from this line to `text`."""
        return Levenshtein.distance(self.words, WORD.findall(text))

    @cached_property
    def statements(self) -> list[Statement]:
        chains: list[list[Equation]] = []
        for equation in self.equations:
            if chains and chains[-1][-1].stated_start == equation.start:
                chains[-1].append(equation)
            else:
                chains.append([equation])
        return [Statement(chain[0].start, chain[-1].end, tuple(chain)) for chain in chains]

    @cached_property
    def results(self) -> list[Fraction]:
        return [e.stated_value for e in self.equations if e.stated_value is not None]

    @cached_property
    def said(self) -> list[Number]:
        """The numbers outside its equations."""
        return [n for n in self.numbers if not any(s.start <= n.start < s.end for s in self.statements)]

    @cached_property
    def is_open(self) -> bool:
        """Whether it holds an `=` that no checked equation covers, or stops in the middle of one."""
        covered = sum(len(statement.parts) for statement in self.statements)
        if self.text.count("=") > covered or re.search(r"[-+*/x×:=]\s*$", self.text):
            return True
        return not self.equations and bool(re.search(r"\w\s*[+*]\s*[\w$]", self.text))

    @cached_property
    def is_true(self) -> bool:
        return all(equation.holds for equation in self.equations)

    @cached_property
    def unit(self) -> str:
        """The word after its last equation, in lower case without a plural s: "year" in "3 + 4 = 7 years"."""
        match = re.match(r"\W{0,3}([A-Za-z]*)", self.text[self.statements[-1].end :]) if self.statements else None
        return match[1].lower().rstrip("s") if match else ""

    @cached_property
    def vocabulary(self) -> set[str]:
        return {word.lower() for word in self.words if word[0].isalpha() and len(word) > 1}


@lru_cache(maxsize=4096)
def step_of(text: str) -> Step:
    """The line as a Step, read once."""
    return Step(text)


class Reference:
    """The reference solution: its steps, what each produces, and which numbers come from nowhere."""

    def __init__(self, problem: Problem) -> None:
        lines = [line for line in problem.solution.split("\n") if line.strip()]
        ends = bool(lines) and ANSWER_LINE.fullmatch(lines[-1]) is not None
        self.answer_line = lines.pop() if ends else f"The answer is {problem.answer}"
        self.steps = [step_of(line) for line in lines]
        self.answer = _number(problem.answer)
        asked = step_of(problem.question)
        self.asked_words = {word.rstrip("s") for word in asked.vocabulary}
        self.vocabulary = asked.vocabulary.union(*(step.vocabulary for step in self.steps))
        lower = {word.capitalize() for word in re.findall(r"\b[a-z]+", problem.question)}
        self.names = set(re.findall(r"\b[A-Z][a-z]+", problem.question)) - lower
        self._trace_values(_asked_values(asked))
        self.ends_in_answer = self.answer is not None and self.answer in self.computed
        results = [result for step in self.steps for result in step.results]
        self.last_result = self.answer if self.ends_in_answer or not results else results[-1]

    def _trace_values(self, asked: set[Fraction]) -> None:
        """Which values each step produces, which are computed at all, and which are given."""
        self.produces: list[set[Fraction]] = []
        self.computed: set[Fraction] = set()
        self.given = asked | {Fraction(1), Fraction(2), Fraction(100)}
        for step in self.steps:
            made = set(step.results)
            if not step.equations:  # "Half of 318 is 159."
                made = {n.value for n in step.numbers if n.value is not None} - asked
            used = {n.value for e in step.equations for n in e.numbers if n.value is not None}
            self.given |= used - self.computed - made
            self.produces.append(made)
            self.computed |= made
        self.known = self.given | self.computed

    def needed(self, established: set[Fraction]) -> list[Step]:
        """The steps that the answer still needs when the established values are there already."""
        if not self.ends_in_answer:
            pairs = zip(self.steps, self.produces, strict=True)
            return [step for step, made in pairs if not made or made - established]
        if self.answer in established:
            return []
        last = max(j for j, made in enumerate(self.produces) if self.answer in made)
        wanted, queue = {last}, [last]
        while queue:
            j = queue.pop()
            for number in self.steps[j].numbers:
                makers = [k for k in range(j) if number.value in self.produces[k]]
                if makers and number.value not in established and makers[-1] not in wanted:
                    wanted.add(makers[-1])
                    queue.append(makers[-1])
        return [self.steps[j] for j in sorted(wanted)]


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
