"""The samples that a run's page shows: a fair draw of a few hundred, each with its rewards and its rewrites.

    rows = sample_rows(Tables(train=…, samples=…, token_rewards=…), tokenizer)
    rows[0]["tokens"], rows[0]["rewards"]     ["Rosa", " has", …], [0.482, −0.1, …]

Sample ids are hashes, so the first of them are a fair draw, and the same one every time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.records import ById, among, problems_of, read_table, scan_table
from tasks.word_diff import word_diff

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Tables = Mapping[str, Path]  # train, samples, token_rewards, edits, rewrites, teacher, pairs; those that there are
SHARES = {"right": 3, "mended": 4, "wrong": 3}  # of ten samples: right, wrong with and without an accepted rewrite
LONGEST = 20_000  # characters of one text


def pair_rewards(pairs: Path, credit: str) -> pl.DataFrame:
    """The credit of the samples in a table of pairs as stage `score` would have written it. credit: its source."""
    from tasks.parts import short

    scored = read_table("pairs", pairs, ["sample_id", "sample_logprobs", "sample_rewards"])
    return scored.select(
        "sample_id",
        credit_source=pl.lit(short(credit)),
        probabilities=pl.lit(None, pl.List(pl.Float32)),
        rewards="sample_rewards",
        reference_logprobs="sample_logprobs",
    )


def chosen(samples: Path, rewrites: Path | None, most: int) -> pl.DataFrame:
    """At most `most` samples: (sample_id, group), the groups of SHARES taking turns, so that the beginning of the list
    is balanced, too. What a group lacks the others make up for."""
    frame = read_table("samples", samples, ["sample_id", "is_right"])
    mended = pl.Series("sample_id", [], dtype=pl.String)
    if rewrites is not None:
        accepted = read_table("rewrites", rewrites, ["sample_id", "reject_reason"])
        mended = accepted.filter(pl.col("reject_reason").is_null())["sample_id"]
    is_mended = pl.col("sample_id").is_in(mended.implode())
    group = pl.when("is_right").then(pl.lit("right")).when(is_mended).then(pl.lit("mended")).otherwise(pl.lit("wrong"))
    turn = pl.col("sample_id").rank("ordinal").over("group") / pl.col("group").replace_strict(SHARES)
    return frame.with_columns(group=group).with_columns(turn=turn).sort("turn", "sample_id").head(most)


def sample_rows(tables: Tables, tokenizer: Tokenizer | None, most: int) -> Iterator[dict[str, Any]]:
    """The chosen samples as the page's script reads them."""
    picked = chosen(tables["samples"], tables.get("rewrites"), most)
    wanted = picked.select("sample_id")
    samples = picked.select("sample_id", "group").join(
        among(scan_table("samples", tables["samples"]), wanted, "sample_id"),
        on="sample_id",
        how="left",
        maintain_order="left",
    )
    problems = problems_of(samples, tables["train"])
    parts = {
        name: ById(among(scan_table(table, tables[name]), wanted, "sample_id"), "sample_id")
        for name, table in (("token_rewards", "token_rewards"), ("edits", "edits"), ("rewrites", "rewrites"),
                            ("teacher", "rewrites"))
        if name in tables
    }  # fmt: skip
    trained = dict(pl.read_parquet(tables["pairs"]).select("sample_id", "trained").rows()) if "pairs" in tables else {}
    for sample in samples.iter_rows(named=True):
        own = {name: rows.get(sample["sample_id"]) for name, rows in parts.items()}
        yield sample_row(sample, problems[sample["problem_id"]], own, trained.get(sample["sample_id"]), tokenizer)


def sample_row(
    sample: Mapping[str, Any],
    problem: Mapping[str, Any],
    own: Mapping[str, Mapping[str, Any] | None],
    trained: bool | None,
    tokenizer: Tokenizer | None,
) -> dict[str, Any]:
    """One sample: its problem, tokens with rewards, verdict and rewrites; what is not known is left out."""
    text = clipped(sample["completion"])
    row = {
        "id": sample["sample_id"],
        **problem_part(problem),
        "from": f"training: {problem['source']}",
        "text": text,
        "group": sample["group"],
        "right": sample["is_right"],
        "extracted": sample["extracted_answer"],
        "ended": sample["finish_reason"] == "stop",
    }
    if own.get("token_rewards") and tokenizer is not None:
        row |= reward_part(sample, own, tokenizer)
    for name in ("rewrites", "teacher"):
        if found := own.get(name):
            row[name] = rewrite_part(text, found)
    if trained is not None:
        row["trained"] = trained
    return row


def problem_part(problem: Mapping[str, Any]) -> dict[str, Any]:
    """What is shown of a problem."""
    part = {"question": clipped(problem["question"]), "reference": clipped(problem["solution"])}
    options = {"options": list(problem["options"])} if problem["options"] else {}
    return {"problem": problem["problem_id"], **part, **options, "answer": problem["answer"]}


def reward_part(
    sample: Mapping[str, Any], own: Mapping[str, Mapping[str, Any] | None], tokenizer: Tokenizer
) -> dict[str, Any]:
    """The sample's tokens with their rewards, their probabilities where the credit source has some, and the positions
    that its rewrite changed."""
    from tasks.token_texts import token_texts

    scored = own["token_rewards"] or {}
    part = {
        "tokens": [clipped(text) for text in token_texts(tokenizer, sample["completion_ids"])],
        "rewards": [round(reward, 3) + 0.0 for reward in scored["rewards"]],
    }
    if scored["probabilities"] is not None:
        part["probabilities"] = [round(probability, 3) for probability in scored["probabilities"]]
    if edits := own.get("edits"):
        part["edited"] = [place for place, edited in enumerate(edits["sample_edited"]) if edited]
    return part


def rewrite_part(sample: str, rewrite: Mapping[str, Any]) -> dict[str, Any]:
    """A rewrite as a difference to its sample, with its verdict."""
    return {
        "by": rewrite["rewriter"],
        "segments": word_diff(sample, clipped(rewrite["rewrite"])),
        "right": rewrite["is_right"],
        "extracted": rewrite["extracted_answer"],
        "fraction": round(rewrite["edit_fraction"], 4),
        "distance": rewrite["edit_distance"],
        "located": rewrite["located_step"],
        "rejected": rewrite["reject_reason"],
    }


def clipped(text: str | None) -> str:
    """A text, or the beginning of one that is too long for a page."""
    text = text or ""
    left = len(text) - LONGEST
    return text if left <= 0 else f"{text[:LONGEST]} … [{left} more characters]"
