"""The benchmark problems that pages show: one policy before and after training, or every recipe of a comparison.

    answer_rows({"before": predictions, "after": predictions}, benchmarks, most=100)

Problems are taken in the order of their ids, which are hashes: a fair draw, and the same one every time.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tasks.compare_predictions import scores
from tasks.intervals import RESAMPLES
from tasks.page_samples import clipped, problem_part
from tasks.records import ById, problems_of, read_table
from tasks.word_diff import word_diff

COLUMNS = ["benchmark", "problem_id", "number", "completion", "extracted_answer", "is_right"]
GROUPS = {(False, True): "mended", (True, False): "broken", (False, False): "wrong", (True, True): "right"}


def first_answers(predictions: Path) -> pl.DataFrame:
    """The first completion of each problem."""
    return read_table("predictions", predictions, COLUMNS).filter(pl.col("number") == 0).drop("number")


def answer_rows(sides: Mapping[str, Path], problems: Path, most: int) -> Iterator[dict[str, Any]]:
    """Problems with the answers of the policy before and after, by turns from each benchmark and of each kind (wrong
    and then right, right and then wrong, twice wrong, twice right)."""
    before, after = (first_answers(sides[name]) for name in ("before", "after"))
    both = before.join(after, on=["benchmark", "problem_id"], suffix="_after")
    turn = pl.col("problem_id").rank("ordinal").over("benchmark", "is_right", "is_right_after")
    picked = both.with_columns(turn=turn).sort("turn", "benchmark", "problem_id").head(most)
    asked = problems_of(picked, problems)
    for row in picked.iter_rows(named=True):
        old, new = clipped(row["completion"]), clipped(row["completion_after"])
        yield {
            "id": f"{row['benchmark']}/{row['problem_id']}",
            **problem_part(asked[row["problem_id"]]),
            "from": row["benchmark"],
            "group": GROUPS[row["is_right"], row["is_right_after"]],
            "text": old,
            "right": row["is_right"],
            "extracted": row["extracted_answer"],
            "after": {"segments": word_diff(old, new), "right": row["is_right_after"],
                      "extracted": row["extracted_answer_after"]},
        }  # fmt: skip


def disagreements(predictions: Mapping[tuple[str, int], Path]) -> pl.DataFrame:
    """(seed, benchmark, problem_id, and a column of verdicts for each recipe) of the problems on which recipes of one
    seed differ. predictions: by recipe and seed, all about the same problems."""
    parts = [
        first_answers(path).select(pl.lit(recipe).alias("recipe"), pl.lit(seed).alias("seed"), pl.exclude("completion"))
        for (recipe, seed), path in predictions.items()
    ]
    wide = pl.concat(parts).pivot("recipe", index=["seed", "benchmark", "problem_id"], values="is_right")
    recipes = wide.columns[3:]
    differ = pl.any_horizontal(recipes) & ~pl.all_horizontal(recipes)
    return wide.filter(differ).sort("problem_id", "seed", "benchmark")


def counts(found: pl.DataFrame, recipes: list[str]) -> dict[str, list[list[int]]]:
    """{"SEED/BENCHMARK": table}: at [i][j] the number of problems that recipe i solves and recipe j does not."""
    import numpy

    tables = {}
    for (seed, benchmark), group in found.group_by("seed", "benchmark", maintain_order=True):
        right = group.select(recipes).to_numpy().astype(numpy.int64)
        tables[f"{seed}/{benchmark}"] = (right.T @ (1 - right)).tolist()
    return dict(sorted(tables.items()))


def picked(found: pl.DataFrame, recipes: list[str], each: int) -> pl.DataFrame:
    """The rows that a page shows: going through `found`, those that show a pair of recipes and a benchmark something
    that fewer than `each` rows before them do."""
    import numpy

    seen: dict[str, Any] = {}
    keep = []
    for benchmark, right in zip(found["benchmark"], found.select(recipes).to_numpy().astype(bool), strict=True):
        shows = right[:, None] & ~right[None, :]
        before = seen.setdefault(benchmark, numpy.zeros(shows.shape, dtype=int))
        useful = bool((shows & (before < each)).any())
        before += shows & useful
        keep.append(useful)
    return found.filter(pl.Series(keep, dtype=pl.Boolean))


def duel_rows(
    predictions: Mapping[tuple[str, int], Path], problems: Path, recipes: list[str], each: int
) -> Iterator[dict[str, Any]]:
    """The picked problems with every recipe's completion; completions that several recipes share are held once."""
    found = picked(disagreements(predictions), recipes, each)
    asked = problems_of(found, problems)
    answers = {
        key: ById(first_answers(path).join(found.filter(seed=key[1]), on=["benchmark", "problem_id"], how="semi")
                   .with_columns(key=pl.col("benchmark") + "/" + pl.col("problem_id")), "key")
        for key, path in predictions.items()
    }  # fmt: skip
    for row in found.iter_rows(named=True):
        texts: dict[str, int] = {}
        own = [answers[recipe, row["seed"]][f"{row['benchmark']}/{row['problem_id']}"] for recipe in recipes]
        said = [texts.setdefault(clipped(answer["completion"]), len(texts)) for answer in own]
        yield {
            **problem_part(asked[row["problem_id"]]),
            "seed": row["seed"],
            "benchmark": row["benchmark"],
            "texts": list(texts),
            "said": said,
            "right": [answer["is_right"] for answer in own],
            "extracted": [answer["extracted_answer"] for answer in own],
        }


def gains(before: Path, after: Path, seed: int = 0) -> dict[str, dict[str, float]]:
    """{benchmark: {difference, low, high}} of the accuracies on the same problems, with the 95 % percentile interval of
    the paired bootstrap. Differences of a problem have few values, so a resample is a draw of their counts."""
    import numpy

    paired = scores(before).join(scores(after), on=["benchmark", "problem_id"], suffix="_after")
    draw = numpy.random.default_rng(seed)
    found = {}
    for (benchmark,), group in paired.sort("benchmark", "problem_id").group_by("benchmark", maintain_order=True):
        values, held = numpy.unique((group["score_after"] - group["score"]).to_numpy(), return_counts=True)
        total = int(held.sum())
        means = draw.multinomial(total, held / total, size=RESAMPLES) @ values / total
        low, high = numpy.percentile(means, [2.5, 97.5])
        found[str(benchmark)] = {"difference": float(values @ held / total), "low": float(low), "high": float(high)}
    return found
