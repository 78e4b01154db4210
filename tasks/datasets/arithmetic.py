"""Generated word problems of two to four steps: the offline dataset, with no file and no network.

Worked example (three steps):

    question   Mia has 12 shells. She finds 9 more. Then she gives away 6 of them. A friend triples her shells.
               How many shells does Mia have now?
    solution   Mia has 12+9=21 shells.
               After giving away 6 she has 21-6=15 shells.
               Three times as many is 15*3=45 shells.
               The answer is 45.
    answer     45

A step has two wordings, so that there are many right solutions and a rewrite can keep the sample's own words.
The same seed gives the same problems everywhere. Splits are disjoint by construction: a question belongs to
the one split that its hash names, whatever the order in which problems are made.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.records import stable_id

SOURCE = "generated here, seed 0"
LICENCE = "Apache-2.0"
HUB = None
SPLITS = ("train", "development", "test", "hard", "big")


@dataclass(frozen=True)
class Kind:
    """What a split's problems are like: how many rows, how many steps, and how large the numbers."""

    buckets: range
    rows: int = 1000
    steps: tuple[int, int] = (2, 4)
    start: tuple[int, int] = (3, 20)
    change: tuple[int, int] = (2, 9)
    largest: int = 40


KINDS = {
    "train": Kind(range(0, 60), rows=6000),
    "development": Kind(range(60, 70)),
    "test": Kind(range(70, 80), rows=2000),
    "hard": Kind(range(80, 90), steps=(4, 4)),
    "big": Kind(range(90, 100), start=(12, 30), change=(2, 20), largest=80),
}
ROWS = {split: kind.rows for split, kind in KINDS.items()}

PEOPLE = {
    "Mia": "she", "Ben": "he", "Anna": "she", "Tom": "he", "Lucy": "she", "Omar": "he",
    "Nina": "she", "Paul": "he", "Rosa": "she", "Sam": "he", "Vera": "she", "Jack": "he",
}  # fmt: skip
ITEMS = ("apples", "shells", "coins", "stamps", "books", "cards", "marbles", "pencils", "stones", "cookies")
TIMES = {2: ("doubles", "Twice"), 3: ("triples", "Three times")}
GAINS = ("buys", "finds", "gets", "wins")
LOSSES = (("gives away", "giving away"), ("sells", "selling"), ("loses", "losing"))


@dataclass(frozen=True)
class Story:
    """The parts of a problem so far: sentences of the question, lines of the solution, and the amount held."""

    name: str
    item: str
    sentences: tuple[str, ...]
    lines: tuple[str, ...]
    amount: int

    def then(self, sentence: str, line: str, amount: int) -> "Story":
        return Story(self.name, self.item, (*self.sentences, sentence), (*self.lines, line), amount)


def rows(split: str, path: Path | None = None) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (where, record) for each problem of `split`; `path` is not used, since nothing is read."""
    kind = KINDS[split]
    draw = random.Random(f"arithmetic/{split}/0")
    seen: set[str] = set()
    while len(seen) < kind.rows:
        record = problem(draw, kind)
        question = str(record["question"])
        if question not in seen and int(stable_id(question), 16) % 100 in kind.buckets:
            seen.add(question)
            yield f"{split} problem {len(seen)}", record


def problem(draw: random.Random, kind: Kind) -> dict[str, object]:
    """One problem: a start, some steps, the question, and the solution with an equation a line."""
    name, item = draw.choice(list(PEOPLE)), draw.choice(ITEMS)
    start = draw.randint(*kind.start)
    story = Story(name, item, (f"{name} has {start} {item}.",), (), start)
    steps = draw.randint(*kind.steps)
    ends_together = draw.random() < 0.3
    for _ in range(steps - 2 if ends_together else steps):
        story = step(draw, kind, story)
    if ends_together:
        story = together(draw, kind, story)
        asked = "How many do they have together?"
    else:
        asked = f"How many {item} does {name} have now?"
    answer = f"The answer is {story.amount}."
    return {
        "question": " ".join((*story.sentences, asked)),
        "solution": "\n".join((*story.lines, answer)),
        "answer": str(story.amount),
    }


def step(draw: random.Random, kind: Kind, story: Story) -> Story:
    """Add one step: gain, loss, multiplication or equal sharing, whichever the amount allows."""
    possible = [gain]
    possible += [loss] if story.amount > 1 else []
    possible += [multiply] if 2 * story.amount <= kind.largest else []
    possible += [share] if shares(story.amount) else []
    return draw.choice(possible)(draw, kind, story)


def gain(draw: random.Random, kind: Kind, story: Story) -> Story:
    pronoun = PEOPLE[story.name]
    more = draw.randint(*kind.change)
    total = story.amount + more
    return story.then(
        f"Then {pronoun} {draw.choice(GAINS)} {more} more.",
        draw.choice(
            (
                f"{story.name} has {story.amount}+{more}={total} {story.item}.",
                f"With {more} more {pronoun} has {story.amount}+{more}={total} {story.item}.",
            )
        ),
        total,
    )


def loss(draw: random.Random, kind: Kind, story: Story) -> Story:
    pronoun = PEOPLE[story.name]
    does, doing = draw.choice(LOSSES)
    less = draw.randint(1, min(kind.change[1], story.amount - 1))
    left = story.amount - less
    return story.then(
        f"Then {pronoun} {does} {less} of them.",
        draw.choice(
            (
                f"After {doing} {less} {pronoun} has {story.amount}-{less}={left} {story.item}.",
                f"{story.name} is left with {story.amount}-{less}={left} {story.item}.",
            )
        ),
        left,
    )


def multiply(draw: random.Random, kind: Kind, story: Story) -> Story:
    factor = draw.choice([k for k in TIMES if k * story.amount <= kind.largest])
    verb, words = TIMES[factor]
    product = story.amount * factor
    return story.then(
        f"A friend {verb} what {PEOPLE[story.name]} has.",
        draw.choice(
            (
                f"{words} as many is {story.amount}*{factor}={product} {story.item}.",
                f"That makes {story.amount}*{factor}={product} {story.item}.",
            )
        ),
        product,
    )


def shares(amount: int) -> list[int]:
    """The numbers of equal bags, 2 to 5, into which `amount` divides without rest."""
    return [k for k in (2, 3, 4, 5) if amount > k and amount % k == 0]


def share(draw: random.Random, kind: Kind, story: Story) -> Story:
    bags = draw.choice(shares(story.amount))
    part = story.amount // bags
    return story.then(
        f"Then {PEOPLE[story.name]} shares them among {bags} bags and keeps one bag.",
        draw.choice(
            (
                f"One bag holds {story.amount}/{bags}={part} {story.item}.",
                f"{story.name} keeps {story.amount}/{bags}={part} {story.item}.",
            )
        ),
        part,
    )


def together(draw: random.Random, kind: Kind, story: Story) -> Story:
    """The closing pair of steps: another person's amount, and the sum of both."""
    other = draw.choice([name for name in PEOPLE if name != story.name])
    more = draw.randint(*kind.change)
    theirs = story.amount + more
    story = story.then(
        f"{other} has {more} more than {story.name}.",
        f"{other} has {story.amount}+{more}={theirs} {story.item}.",
        story.amount,
    )
    total = story.amount + theirs
    return Story(
        story.name,
        story.item,
        story.sentences,
        (*story.lines, f"Together they have {story.amount}+{theirs}={total} {story.item}."),
        total,
    )
