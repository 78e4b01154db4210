"""The tables of docs/results.md, made of what `rlmec compare … --json` printed, which docs/results/ keeps.

    python docs/results.py    writes every computed block of the page anew

A block is what stands between `<!-- computed: … -->` and the next `<!-- end -->`. Its name says what it shows: `FILE
accuracy`, `FILE less RECIPE`, or `FILE FILE … by level`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.compare_recipes import COSTS, cost_texts, interval_text
from tasks.markdown import markdown_table

PAGE = Path(__file__).with_suffix(".md")
PLACE = re.compile(r"(?<=<!-- computed: )([^>]+?) -->\n.*?(?=<!-- end -->)", re.DOTALL)
Result = Mapping[str, Any]


def rewritten(page: str) -> str:
    """A page with every computed block as it is now."""
    return PLACE.sub(lambda match: f"{match[1]} -->\n{block(match[1])}\n", page)


def block(name: str) -> str:
    """The table of a block."""
    if name.endswith(" by level"):
        return by_level([numbers(file) for file in name.removesuffix(" by level").split()])
    file, kind, *base = name.split()
    return differences(numbers(file), *base) if kind == "less" else accuracy(numbers(file))


def numbers(file: str) -> Result:
    """What a comparison printed."""
    found: Result = json.loads(PAGE.with_suffix("").joinpath(f"{file}.json").read_text(encoding="utf-8"))
    return found


def accuracy(result: Result) -> str:
    """Mean accuracy in percent on each benchmark, the best on the first one first, and what a recipe cost."""
    benchmarks = list(result["start"])
    recipes = sorted(result["recipes"].items(), key=lambda item: -item[1][benchmarks[0]]["mean"])
    starts = [f"{100 * sum(rates) / len(rates):.1f}" for rates in result["start"].values()]
    rows = (
        [f"`{recipe}`", *(interval_text(found[name], "mean", "") for name in benchmarks), *cost_texts(found)]
        for recipe, found in recipes
    )
    return markdown_table(["recipe", *benchmarks, *COSTS], [*rows, ["start", *starts, *([""] * len(COSTS))]])


def differences(result: Result, base: str) -> str:
    """How many points every recipe is ahead of one on each benchmark, in how many seeds, and p, corrected by Holm."""
    rows = {(row["recipe"], row["benchmark"]): row for row in result["differences"] if row["against"] == base}
    benchmarks = list(result["start"])
    names = dict.fromkeys(recipe for recipe, _ in rows)  # of equal ones the first stays first
    recipes = sorted(names, key=lambda recipe: -rows[recipe, benchmarks[0]]["difference"])
    cells = ([f"`{recipe}`", *(difference(result, rows[recipe, name]) for name in benchmarks)] for recipe in recipes)
    return markdown_table([f"less `{base}`", *benchmarks], cells)


def by_level(results: list[Result]) -> str:
    """What the recipes solve of the first benchmark, a row a level of the policies that they start from, and how far
    each is ahead of those that it is compared with."""
    benchmark = next(iter(results[0]["start"]))
    names = list(results[0]["recipes"])
    bases = {row["against"] for row in results[0]["differences"]}
    pairs = [(name, base) for base in sorted(bases) for name in names if name not in bases]

    def cells(result: Result) -> list[str]:
        rows = {(row["recipe"], row["against"]): row for row in result["differences"] if row["benchmark"] == benchmark}
        start = ", ".join(f"{100 * rate:.1f}" for rate in result["start"][benchmark])
        means = [f"{100 * result['recipes'][name][benchmark]['mean']:.1f}" for name in names]
        return [start, *means, *(difference(result, rows[pair]) for pair in pairs)]

    heads = ["start", *(f"`{name}`" for name in names), *(f"`{ours}` less `{theirs}`" for ours, theirs in pairs)]
    return markdown_table(heads, map(cells, results))


def difference(result: Result, row: Mapping[str, Any]) -> str:
    """`+1.6 [+0.1, +2.9], 4 of 5, p 0.03`."""
    ours, theirs = (
        [seed["right"] for seed in result["recipes"][row[side]][row["benchmark"]]["seeds"]]
        for side in ("recipe", "against")
    )
    ahead = sum(our > their for our, their in zip(ours, theirs, strict=True))
    return f"{interval_text(row, 'difference', '+')}, {ahead} of {len(ours)}, p {row['p_corrected']:.2g}"


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
