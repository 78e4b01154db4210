"""What the scripted teacher reads in a line of a solution: its statements, its numbers and what they count."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

from rapidfuzz.distance import Levenshtein

from tasks.equations import Equation, Number, equations, numbers

WORD = re.compile(r"\w+|[^\w\s]")
ANSWER_LINE = re.compile(
    r"(?P<form>\s*(?:A ?:|####|(?:[A-Za-z]+,? ){0,2}?the (?:final |correct )?answer (?:is\b ?:?|:)) *)"
    r"(?P<answer>.*)",
    re.IGNORECASE,
)
VARIABLE = re.compile(  # a letter after "let", or beside an operator or number; no unit, no "5 x 3"
    r"(?<=\blet )[a-z](?!\w)"
    r"|(?:(?<=[-+*/=(])|(?<=[-+*/=(] )|(?<=\d))(?:[a-fi-kn-rt-wyz]|x(?! ?[\d$(.]))(?![\w'’])"
    r"|(?<![\w'’])(?:[b-wyz]|x(?! ?[\d$(.]))(?= ?[-+*/=)])",
    re.IGNORECASE,
)
SMALL = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty"""
TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred"
NUMBER_WORDS = {word: Fraction(value) for value, word in enumerate(SMALL.split())}
NUMBER_WORDS |= {word: Fraction(10 * value) for value, word in enumerate(TENS.split(), start=2)}
NUMBER_WORDS |= {"half": Fraction(1, 2), "twice": Fraction(2), "thrice": Fraction(3), "dozen": Fraction(12)}
NUMBER_WORDS |= {"double": Fraction(2), "triple": Fraction(3), "third": Fraction(3), "quarter": Fraction(4)}
FUNCTION = """a an and are as at be because but by can did do does each every for from had has have he her his how if
    in is it its many much of on one or per she since so that the their them then there these they this thus to was we
    were what when which who will with would you"""
FUNCTION_WORDS = frozenset(FUNCTION.split())


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
    def variables(self) -> set[str]:
        """Single letters that stand for unknown numbers, in lower case."""
        return {match[0].lower() for match in VARIABLE.finditer(self.text)}

    @cached_property
    def vocabulary(self) -> set[str]:
        return {word.lower() for word in self.words if word[0].isalpha() and len(word) > 1}

    @cached_property
    def content(self) -> set[str]:
        """Its words but for function words and number words, without a plural s."""
        return {word.rstrip("s") for word in self.vocabulary - FUNCTION_WORDS - NUMBER_WORDS.keys()}

    def counted(self, start: int, end: int) -> set[str]:
        """What the number at `text[start:end]` counts: {"red", "tie"} for "10 red ties", {"$"} for "$4 each"."""
        found = {"$"} if self.text[:start].rstrip().endswith("$") else set()
        for word in re.findall(r"[A-Za-z]+|%|\S", self.text[end : end + 40])[:3]:
            if not (word.isalpha() or word == "%") or word.lower() in FUNCTION_WORDS:
                break
            found.add({"dollar": "$", "dollars": "$"}.get(word.lower(), word.lower().rstrip("s")))
        return found


@lru_cache(maxsize=4096)
def step_of(text: str) -> Step:
    """The line as a Step, read once."""
    return Step(text)
