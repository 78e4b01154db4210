"""Recipes side by side: what each solves on every benchmark over several seeds, and how sure the differences are.

    found = gathered({("sft", 0): predictions, ("rlmec", 0): predictions, …})
    accuracies(found)                  a row a recipe and benchmark
    differences(found, "sft")          every other recipe's paired difference to sft, a row a benchmark

A seed is a warm-up policy of its own, and all recipes meet the same problems, so seeds and problems are resampled
together. Two p-values come with a difference: the bootstrap's, which counts the variation between seeds, and that of
the exact McNemar test, which asks about these trained policies alone: of the problems that one recipe solves under
more seeds than the other, does each win half? Both are corrected by Holm over all rows with the same baseline.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tasks.compare_predictions import scores
from tasks.errors import UserError
from tasks.intervals import RESAMPLES, RESAMPLES_AT_ONCE, mcnemar
from tasks.markdown import markdown_table

COSTS = ("learning rate", "seconds", "million tokens")
ACCURACIES: dict[str, Any] = {
    "recipe": pl.String,
    "benchmark": pl.String,
    "mean": pl.Float64,  # over seeds and problems
    "low": pl.Float64,  # its 95 % interval
    "high": pl.Float64,
    "learning_rate": pl.Float64,
    "seconds": pl.Float64,  # of the recipe's own stages, mean over seeds
    "tokens": pl.Float64,  # that the policy was trained on
    "seeds": pl.List(pl.Struct({"seed": pl.Int64, "right": pl.Int64, "total": pl.Int64})),
}
DIFFERENCES: dict[str, Any] = {
    "recipe": pl.String,
    "against": pl.String,
    "benchmark": pl.String,
    "difference": pl.Float64,  # mean of the recipe minus mean of the other
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,  # bootstrap over seeds and problems, two-sided
    "p_corrected": pl.Float64,
    "p_mcnemar": pl.Float64,  # exact, over problems
    "p_mcnemar_corrected": pl.Float64,
}


def gathered(predictions: Mapping[tuple[str, int], Path]) -> pl.DataFrame:
    """(recipe, seed, benchmark, problem_id, score) from the predictions of each recipe and seed; score is the share of
    right completions. UserError where two of them are not about the same problems."""
    parts = []
    for (recipe, seed), path in predictions.items():
        parts.append(scores(path).select(pl.lit(recipe).alias("recipe"), pl.lit(seed).alias("seed"), pl.all()))
    found = pl.concat(parts).sort("recipe", "seed", "benchmark", "problem_id")
    asked = found.group_by("recipe", "seed").agg(pl.struct("benchmark", "problem_id").hash().sum().alias("asked"))
    if asked["asked"].n_unique() > 1:
        raise UserError("the evaluations to be compared are not about the same problems")
    return found


def accuracies(found: pl.DataFrame, costs: Mapping[str, Mapping[str, float]]) -> pl.DataFrame:
    """A row a recipe and benchmark, in the columns of ACCURACIES. costs: learning_rate, seconds, tokens by recipe."""
    rows = []
    for (recipe, benchmark), group in found.group_by("recipe", "benchmark", maintain_order=True):
        seeds = group.group_by("seed", maintain_order=True).agg(
            right=pl.col("score").sum().round().cast(pl.Int64), total=pl.len()
        )
        mean, low, high, _ = crossed_bootstrap(grid(group))
        row = {"recipe": recipe, "benchmark": benchmark, "mean": mean, "low": low, "high": high}
        rows.append({**row, **costs[str(recipe)], "seeds": seeds.to_dicts()})
    return pl.DataFrame(rows, schema=ACCURACIES)


def differences(found: pl.DataFrame, against: str) -> pl.DataFrame:
    """Every other recipe's difference to `against`, in the columns of DIFFERENCES."""
    frame = pl.DataFrame(list(difference_rows(found, against)), schema=DIFFERENCES)
    return frame.with_columns(
        p_corrected=pl.Series(holm(frame["p"].to_list()), dtype=pl.Float64),
        p_mcnemar_corrected=pl.Series(holm(frame["p_mcnemar"].to_list()), dtype=pl.Float64),
    )


def difference_rows(found: pl.DataFrame, against: str) -> Iterator[dict[str, object]]:
    """The rows of `differences`, without their corrections."""
    key = ["seed", "benchmark", "problem_id"]
    base = found.filter(pl.col("recipe") == against).select(*key, other="score")
    rest = found.filter(pl.col("recipe") != against)
    paired = rest.join(base, on=key, how="inner", maintain_order="left").with_columns(
        score=pl.col("score") - pl.col("other")
    )
    for (recipe, benchmark), group in paired.group_by("recipe", "benchmark", maintain_order=True):
        mean, low, high, p = crossed_bootstrap(grid(group))
        nets = group.group_by("problem_id").agg(pl.col("score").sum())["score"]
        exact = mcnemar(int((nets > 0).sum()), int((nets < 0).sum()))
        yield {"recipe": recipe, "against": against, "benchmark": benchmark, "difference": mean, "low": low,
               "high": high, "p": p, "p_mcnemar": exact}  # fmt: skip


def grid(group: pl.DataFrame) -> list[list[float]]:
    """The scores of one recipe on one benchmark, (seeds, problems)."""
    return [part["score"].to_list() for _, part in group.group_by("seed", maintain_order=True)]


def markdown(accuracies: pl.DataFrame, differences: pl.DataFrame) -> str:
    """The comparison as a Markdown table, a row a recipe: in percent, with the difference to each baseline."""
    benchmarks = accuracies["benchmark"].unique(maintain_order=True).to_list()
    baselines = differences["against"].unique(maintain_order=True).to_list()
    heads = ["recipe", *benchmarks, *(f"{benchmark} − {base}" for base in baselines for benchmark in benchmarks),
             *COSTS]  # fmt: skip
    lines = []
    means = {(row["recipe"], row["benchmark"]): row for row in accuracies.to_dicts()}
    gaps = {(row["recipe"], row["against"], row["benchmark"]): row for row in differences.to_dicts()}
    for recipe in accuracies["recipe"].unique(maintain_order=True):
        cells = [interval_text(means[recipe, benchmark], "mean", "") for benchmark in benchmarks]
        for base in baselines:
            for benchmark in benchmarks:
                row = gaps.get((recipe, base, benchmark))
                cells.append(f"{interval_text(row, 'difference', '+')}, p {row['p_corrected']:.2g}" if row else "–")
        lines.append([f"`{recipe}`", *cells, *cost_texts(means[recipe, benchmarks[0]])])
    return markdown_table(heads, lines)


def cost_texts(row: Mapping[str, Any]) -> list[str]:
    """What a recipe cost, below the heads COSTS."""
    return [f"{row['learning_rate']:g}", f"{row['seconds']:.0f}", f"{row['tokens'] / 1e6:.2f}"]


def interval_text(row: Mapping[str, float], middle: str, sign: str) -> str:
    """`+1.6 [+0.1, +2.9]`, in percent."""
    value, low, high = (format(100 * row[name], f"{sign}.1f") for name in (middle, "low", "high"))
    return f"{value} [{low}, {high}]"


def crossed_bootstrap(grid: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float, float, float]:
    """Mean, 95 % percentile interval and two-sided p of a mean of 0, for values of (seeds, problems).

    Each resample draws seeds and problems, both with replacement, and takes all their crossings (the two-way
    bootstrap of Owen, 2007, "The pigeonhole bootstrap"): a problem that is hard is hard under every seed. With p =
    2 · min(share of resamples ≤ 0, share ≥ 0), at most 1 and, of R resamples, at least 2 / (R + 1).

    It is too careful where seeds do not matter, and not careful enough where three of them vary much more than their
    problems do: look at the seeds one by one then. Of one seed it resamples the problems alone.
    """
    import numpy

    values = numpy.asarray(grid, dtype=float)
    seeds, problems = values.shape
    draw = numpy.random.default_rng(seed)
    means: list[float] = []
    while len(means) < RESAMPLES:
        count = min(RESAMPLES_AT_ONCE, RESAMPLES - len(means))
        drawn_seeds = draw.multinomial(seeds, [1 / seeds] * seeds, size=count)
        drawn_problems = draw.multinomial(problems, [1 / problems] * problems, size=count)
        means += (((drawn_seeds @ values) * drawn_problems).sum(1) / (seeds * problems)).tolist()
    resampled = numpy.asarray(means)
    low, high = numpy.percentile(resampled, [2.5, 97.5])
    tail = min((resampled <= 0).sum(), (resampled >= 0).sum())
    return float(values.mean()), float(low), float(high), float(min(1.0, 2 * (1 + tail) / (1 + len(resampled))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests: the smallest of m is multiplied by m, the next by m − 1, and none becomes
    smaller than one before it: 0.01, 0.04, 0.03 → 0.03, 0.06, 0.06."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = floor
    return corrected
