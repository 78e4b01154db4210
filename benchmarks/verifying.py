"""Verdicts on stated numbers: `tasks.answers.is_right` against math-verify on the same completions.

    python benchmarks/verifying.py        half a minute

Solutions in the style of GSM8K, each with another number, every second one wrong. The verdicts of both are compared.
"""

import operator
import random
from collections.abc import Sequence

import math_verify
from measure import Side, Table, columns, command, compared, in_turn, machine, parsed_by, parser

from tasks.answers import is_right

UNITS = ("", " apples", " dollars per week", " miles an hour", " kg", " square feet")
Answers = Sequence[tuple[str, str]]


def answers(count: int) -> list[tuple[str, str]]:
    """Solutions with a gold answer each, of which every second one is another number."""
    draw = random.Random(0)
    made = []
    for place in range(count):
        value, places = draw.randrange(1, 10**7), draw.choice([0, 0, 0, 0, 2])
        gold = f"{value / 10**places:.{places}f}"
        whole, _, part = gold.partition(".")
        stated = f"{int(whole):,}" + (f".{part}" if part else "") + draw.choice(UNITS)
        half = value // 2
        steps = f"First it is {value} - {half} = {value - half}.\nThen it is {value - half} + {half} = {value}."
        made.append((f"{steps}\nThe answer is {stated}.", gold if place % 2 else f"{int(whole) + 7}"))
    return made


def by_math_verify(rows: Answers) -> list[bool]:
    return [math_verify.verify(math_verify.parse(gold), math_verify.parse(text)) for text, gold in rows]


def by_verifier(rows: Answers) -> list[bool]:
    return [is_right(text, gold, "math") for text, gold in rows]


def main() -> None:
    options = parsed_by(parser(__doc__))
    many = answers(300 if options.small else 10_000)
    few = many[: 10 if options.small else 300]
    assert by_verifier(many) == [place % 2 == 1 for place in range(len(many))]
    differing = sum(map(operator.ne, by_verifier(few), by_math_verify(few)))
    about = f"`{command(__file__, options)}`, on {machine()}. Whole completions, each with another number."
    table = Table("Verifying numbers", about, columns("answers/s", "math-verify"))
    ours = Side("RLMEC", lambda: by_verifier(many), len(many))
    theirs = Side("math-verify", lambda: by_math_verify(few), len(few))
    rates = in_turn(ours, theirs, options.rounds)
    table.add(*compared("stated numbers", rates, None, f"{differing} of {len(few)} verdicts differ"))
    print(table.markdown())


if __name__ == "__main__":
    main()
