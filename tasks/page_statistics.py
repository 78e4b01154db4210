"""What a page says of all rewards and edits of a run, in a few numbers.

rewards = reward_statistics(samples, token_rewards, edits)
rewards["verdicts"]["wrong"]["negative"]      the share of wrong samples' tokens with a negative reward
"""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from tasks.records import read_table

MOST_SAMPLES = 10_000  # that are counted: of more, a fair draw, since ids are hashes
BINS = 12
RARE = 2e-4  # share of all tokens; of a token as rare as this a mean says little
TOP = 12


def drawn(column: str, total: int) -> pl.Expr:
    """The condition that keeps about MOST_SAMPLES of `total` rows, by their ids."""
    if total <= MOST_SAMPLES:
        return pl.lit(True)
    return pl.col(column) < format(int(MOST_SAMPLES / total * 2**64), "016x")


def size(table: Path, keep: pl.Expr | None = None) -> int:
    """How many rows of a table there are, or fulfil a condition."""
    frame = pl.scan_parquet(table)
    return int((frame if keep is None else frame.filter(keep)).select(pl.len()).collect().item())


def tokens_of(samples: Path, token_rewards: Path, edits: Path | None) -> pl.DataFrame:
    """(token, reward, is_right, edited): a row a token. edited is null where no rewrite says so."""
    keep = drawn("sample_id", size(samples))
    frame = pl.scan_parquet(samples).filter(keep).select("sample_id", "is_right", token="completion_ids")
    scored = pl.scan_parquet(token_rewards).filter(keep).select("sample_id", reward="rewards")
    frame = frame.join(scored, on="sample_id", how="inner")
    if edits is None:
        tokens = frame.drop("sample_id").collect().explode("token", "reward")
        return tokens.with_columns(edited=pl.lit(None, pl.Boolean))
    marked = pl.scan_parquet(edits).select("sample_id", edited="sample_edited")
    nulls = pl.lit(None, pl.Boolean).repeat_by(pl.col("token").list.len())
    frame = frame.join(marked, on="sample_id", how="left").with_columns(edited=pl.col("edited").fill_null(nulls))
    return frame.drop("sample_id").collect().explode("token", "reward", "edited")


def reward_statistics(samples: Path, token_rewards: Path, edits: Path | None = None) -> dict[str, Any]:
    """verdicts (figures of right and wrong samples), histogram, changed (figures of tokens that an accepted rewrite
    changed and of those it kept), tokens (the most rewarded and the most punished ids)."""
    frame = tokens_of(samples, token_rewards, edits)
    verdict = pl.when("is_right").then(pl.lit("right")).otherwise(pl.lit("wrong"))
    change = pl.when("edited").then(pl.lit("changed")).otherwise(pl.lit("kept"))
    known = frame.filter(pl.col("edited").is_not_null())
    return {
        "verdicts": figures(frame.select(verdict.alias("part"), "reward")),
        "changed": figures(known.select(change.alias("part"), "reward")),
        "histogram": histogram(frame),
        "tokens": extremes(frame),
        "samples": size(samples),
        "credited": size(token_rewards),
        "counted": size(samples, drawn("sample_id", size(samples))),
        "low": float(frame["reward"].min() or 0.0),  # type: ignore[arg-type]
        "high": float(frame["reward"].max() or 0.0),  # type: ignore[arg-type]
    }


def figures(frame: pl.DataFrame) -> dict[str, dict[str, float]]:
    """Number of tokens, mean reward, and shares of negative and of zero rewards, by the column `part`."""
    found = frame.group_by("part").agg(
        tokens=pl.len(),
        mean=pl.col("reward").mean(),
        negative=(pl.col("reward") < 0).mean(),
        zero=(pl.col("reward") == 0).mean(),
    )
    return {row.pop("part"): row for row in found.sort("part").to_dicts()}


def histogram(frame: pl.DataFrame) -> list[dict[str, float]]:
    """(low, high, right, wrong): of each verdict's tokens the share whose reward lies in this part of the range. The
    parts are round numbers apart, and 0 is where one of them begins."""
    rewards = frame["reward"].cast(pl.Float64).round(6)  # 32 bits hold −0.1 as −0.1000000015
    low, high = float(rewards.min() or 0.0), float(rewards.max() or 0.0)  # type: ignore[arg-type]
    width = round_step((high - low) / BINS) if high > low else 1.0
    first = math.floor(low / width + 1e-6)
    last = max(first, math.ceil(high / width - 1e-6) - 1)
    place = (pl.col("reward") / width + 1e-6).floor().cast(pl.Int64).clip(first, last)
    found = frame.select("is_right", reward=rewards).group_by("is_right", place=place).len()
    totals = dict(frame.group_by("is_right").len().rows())
    shares = {(right, place): count / totals[right] for right, place, count in found.rows()}
    return [
        {"low": place * width, "high": (place + 1) * width,
         "right": shares.get((True, place), 0.0), "wrong": shares.get((False, place), 0.0)}
        for place in range(first, last + 1)
    ]  # fmt: skip


def round_step(least: float) -> float:
    """The smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, … that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def extremes(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The tokens with the highest mean reward in right samples and with the lowest in wrong ones, rare ones left out:
    (token, count, mean, negative). Over all samples a mean would say in which of the two a token is at home."""
    found = frame.group_by("is_right", "token").agg(
        count=pl.len(), mean=pl.col("reward").mean(), negative=(pl.col("reward") < 0).mean()
    )
    common = found.filter(pl.col("count") >= max(3, RARE * len(frame)))
    best = common.filter("is_right").sort("mean", "count", "token", descending=[True, True, False]).head(TOP)
    worst = common.filter(~pl.col("is_right")).sort("mean", "count", "token", descending=[False, True, False]).head(TOP)
    return {"most": best.drop("is_right").to_dicts(), "least": worst.drop("is_right").to_dicts()}


def edit_statistics(rewrites: Path, edits: Path | None = None) -> dict[str, Any]:
    """fractions (a histogram over accepted rewrites), operations (how many of each kind), reasons (why rewrites were
    rejected), accepted and total."""
    frame = read_table("rewrites", rewrites, ["edit_fraction", "reject_reason"])
    accepted = frame.filter(pl.col("reject_reason").is_null())
    width = 0.05
    bins = Counter(min(int(fraction / width), 19) for fraction in accepted["edit_fraction"])
    last = max(bins, default=0)
    operations: dict[str, int] = {}
    if edits is not None:
        kinds = pl.scan_parquet(edits).select(pl.col("kinds").explode()).collect()["kinds"].drop_nulls()
        operations = dict(kinds.value_counts(sort=True).rows())
    return {
        "fractions": [
            {"low": width * place, "high": width * (place + 1), "count": bins[place]} for place in range(last + 1)
        ],
        "operations": operations,
        "reasons": dict(frame["reject_reason"].drop_nulls().value_counts(sort=True).rows()),
        "accepted": len(accepted),
        "total": len(frame),
        "mean": float(accepted["edit_fraction"].mean() or 0.0),  # type: ignore[arg-type]
    }
