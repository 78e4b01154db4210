"""Edits from samples to rewrites: `tasks.align.edit_operations` against a plain table in Python.

    python benchmarks/alignment.py        a quarter of a minute

Pairs of 300 token ids of which the second has about a tenth of its tokens edited, and the worst there is for a
quadratic algorithm: two texts of 8,000 tokens with nothing in common, or with all in common but in another order. Both
sides must find the same number of edits.
"""

import random
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap

from measure import (
    Side,
    Table,
    columns,
    command,
    compared,
    in_turn,
    machine,
    number,
    parsed_by,
    parser,
    seconds,
    spread,
    verdict,
)
from rapidfuzz.distance import Levenshtein

from tasks.align import edit_operations

LENGTH, LONG = 300, 8000
RATIO, RATE, BOUND = 1000.0, 50_000.0, 1.0  # times a table; pairs a second on one core; seconds a pair of LONG
MISSED = """\
What would have to change: rapidfuzz itself does little more than that on this machine (its row), where the Python table
is quick, too. What is left is rapidfuzz's edits as a list."""
Pair = tuple[list[int], list[int]]


def distance_by_table(source: Sequence[int], target: Sequence[int]) -> int:
    """Levenshtein distance by a plain dynamic-programming table in Python: the thing to compare with."""
    previous = list(range(len(target) + 1))
    for i, left in enumerate(source, start=1):
        current = [i]
        for j, right in enumerate(target, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (left != right)))
        previous = current
    return previous[-1]


def pairs(count: int, length: int = LENGTH, edited: float = 0.1) -> list[Pair]:
    """Random pairs of `length` token ids of which the second has about a tenth of its tokens edited."""
    draw = random.Random(0)
    made = []
    for _ in range(count):
        source = [draw.randrange(500) for _ in range(length)]
        target = [draw.randrange(500) if draw.random() < edited else token for token in source]
        made.append((source, target))
    return made


def worst(length: int) -> dict[str, Pair]:
    """Pairs that leave no short cut: no beginning or end in common, and edits all over."""
    draw = random.Random(0)
    text = [draw.randrange(32_000) for _ in range(length)]
    other = [32_000 + token for token in text]
    few = [[draw.randrange(2) for _ in range(length)] for _ in range(2)]
    return {"nothing in common": (text, other), "reversed": (text, text[::-1]), "two different ids": (few[0], few[1])}


def drop(results: Iterable[object]) -> None:
    """Make results and keep none: a hundred thousand kept edits would time the garbage collector."""
    deque(results, maxlen=0)


def side(name: str, function: Callable[[Sequence[int], Sequence[int]], object], given: list[Pair]) -> Side:
    return Side(name, lambda: drop(starmap(function, given)), len(given))


def main() -> None:
    options = parsed_by(parser(__doc__))
    about = f"`{command(__file__, options)}`, on {machine()}. Pairs of {LENGTH} tokens, a tenth of them edited."
    table = Table("Alignment", about, columns("pairs/s", "Python table"), missed=MISSED)
    few, many = pairs(5), pairs(500 if options.small else 20_000)
    for source, target in few:
        assert len(edit_operations(source, target)) == distance_by_table(source, target)
    # The fast one does more pairs in a round, so that it runs long enough to be measured.
    rates = in_turn(side("RLMEC", edit_operations, many), side("table", distance_by_table, few), options.rounds)
    table.add(*compared("edit operations", rates, RATIO, "the same distances"))
    rate = statistics.median(rates.ours)
    table.add("of one core", spread(rates.ours), "", "", f"{RATE:,.0f} pairs/s", verdict(rate, RATE), "")
    library = Levenshtein.editops
    alone = [len(many) / seconds(lambda: drop(starmap(library, many))) for _ in range(options.rounds)]
    table.add("of that, rapidfuzz alone", spread(alone), "", "", "", "", "")
    for name, (source, target) in worst(400 if options.small else LONG).items():
        edits = edit_operations(source, target)  # to warm up
        took = [seconds(lambda one=source, other=target: edit_operations(one, other)) for _ in range(options.rounds)]
        slowest, title = max(took), f"{LONG:,} tokens, {name}: {len(edits):,} edits"
        table.add(title, f"{spread([1 / t for t in took])}", "", "", f"{BOUND:g} s at most",
                  verdict(slowest, BOUND, at_most=True), f"slowest {number(slowest)} s")  # fmt: skip
    print(table.markdown())


if __name__ == "__main__":
    main()
