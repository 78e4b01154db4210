"""What a pipeline knows about its samples: their verdicts, their tokens' rewards, their rewrites and edits.

scored = Scored(open_store(), "latest")
scored.listed()            a row for each sample, the most punished token first
scored.sample("3")         all about one of them, as JSON has it: by its row there, or the beginning of its id
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from flows.checkpoint import PLAIN
from flows.control import pair_credit, stage_runs
from flows.digests import DamagedError
from flows.store import Store, one_line
from tasks.align import edit_operations
from tasks.errors import UserError
from tasks.page_samples import pair_rewards
from tasks.records import read_table
from tasks.token_texts import load_tokenizer, token_texts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

REWRITERS = ("rewrite", "teach")  # the GRM's rewrites, or the teacher's where a recipe has no use for those


class Scored:
    """A pipeline whose samples have token rewards: all of them from stage `score`, or those that are half of a pair
    whose tokens have credit, from stage `pair`."""

    def __init__(self, store: Store, text: str) -> None:
        """`text`: a run's id, the beginning of one, a name, or `latest`. UserError where there is no such run, or where
        it has no token rewards."""
        self.store, self.run = store, store.pipeline(text)
        self.stages = stage_runs(self.run)
        if "score" not in self.stages and not self.pair_credit:
            recipe = self.run.data.tags.get("rlmec.recipe", "none")
            made = ", ".join(self.stages) or "none"
            raise UserError(
                f"run {self.run.info.run_name} (recipe {recipe}) has no token rewards: its stages are {made}, and "
                "`score` is not among them"
            )

    @cached_property
    def pair_credit(self) -> str | None:
        """The credit source of the pairs, where they have one."""
        return pair_credit(self.store.client.get_run(self.stages["pair"])) if "pair" in self.stages else None

    @property
    def heading(self) -> dict[str, Any]:
        """What names the run."""
        return {
            "run": self.run.info.run_name,
            "run_id": self.run.info.run_id,
            "recipe": self.run.data.tags.get("rlmec.recipe"),
        }

    def table(self, stage: str, output: str, kind: str, columns: list[str] | None = None) -> pl.DataFrame:
        """An output of one of the run's stages as a table; UserError where it is no longer whole."""
        return read_table(kind, self.fetched(self.stages[stage], output), columns)

    def fetched(self, run_id: str, output: str) -> Path:
        """Where an output lies on this machine."""
        try:
            return self.store.fetch(self.store.stage_run(run_id).outputs[output])
        except DamagedError as error:
            raise UserError(f"run {self.run.info.run_name}: {error} in run {run_id}") from error

    @cached_property
    def scores(self) -> pl.DataFrame:
        """(sample_id, credit_source, probabilities, rewards) of each sample that has token rewards."""
        if "score" in self.stages:
            columns = ["sample_id", "credit_source", "probabilities", "rewards"]
            return self.table("score", "token_rewards", "token_rewards", columns)
        return pair_rewards(self.fetched(self.stages["pair"], "pairs"), self.pair_credit or "")

    @cached_property
    def rewriter(self) -> str | None:
        """The stage whose rewrites are shown."""
        return next((stage for stage in REWRITERS if stage in self.stages), None)

    def listed(self) -> pl.DataFrame:
        """row (from 1), sample_id, is_right, edits and reject_reason of its rewrite, lowest_reward, highest_reward,
        credit_source, question: the lowest reward first, and by id (a hash, so a fair draw) among equal ones."""
        samples = self.table("sample", "samples", "samples", ["sample_id", "problem_id", "is_right"])
        rewards = pl.col("rewards").list
        found = samples.join(
            self.scores.select("sample_id", "credit_source", lowest_reward=rewards.min(), highest_reward=rewards.max()),
            on="sample_id",
        )
        columns = ["sample_id", "edit_distance", "reject_reason"]
        made = self.table(self.rewriter, "rewrites", "rewrites", columns) if self.rewriter else None
        if made is None:
            made = pl.DataFrame(schema=dict(zip(columns, (pl.String, pl.Int32, pl.String), strict=True)))
        found = found.join(made.rename({"edit_distance": "edits"}), on="sample_id", how="left")
        problems = self.table("prepare", "train", "problems", ["problem_id", "question"])
        found = found.join(problems, on="problem_id", how="left").sort("lowest_reward", "sample_id")
        return found.with_row_index("row", offset=1).drop("problem_id")

    def sample(self, text: str) -> dict[str, Any]:
        """All that is known of the sample that `text` means: problem, sample, tokens, rewrite and edits."""
        listed = self.listed()
        sample_id = chosen(text, listed["sample_id"])
        sample = only(self.table("sample", "samples", "samples"), "sample_id", sample_id)
        problem = only(self.table("prepare", "train", "problems"), "problem_id", sample["problem_id"])
        score = only(self.scores, "sample_id", sample_id)
        ids = sample["completion_ids"]
        texts = token_texts(self.tokenizer, ids)
        numbers = zip(texts, score["rewards"], score["probabilities"] or [None] * len(ids), strict=True)
        return {
            **self.heading,
            "row": listed["sample_id"].index_of(sample_id) + 1,  # type: ignore[operator]
            "problem": {name: problem[name] for name in ("question", "options", "solution", "answer")},
            "sample": {name: sample[name] for name in SAMPLE},
            "credit_source": score["credit_source"],
            "rewards_range": [listed["lowest_reward"].min(), listed["highest_reward"].max()],
            "tokens": [
                {"position": place, "id": ids[place], "text": piece, "reward": reward, "probability": probability}
                for place, (piece, reward, probability) in enumerate(numbers)
            ],
            **self.mended(sample_id, ids, texts),
        }

    def mended(self, sample_id: str, ids: Sequence[int], texts: Sequence[str]) -> dict[str, Any]:
        """The sample's rewrite and the edits that lead to it; None and none where it was not rewritten."""
        rewrites = self.table(self.rewriter, "rewrites", "rewrites") if self.rewriter else pl.DataFrame()
        found = rewrites.filter(sample_id=sample_id) if len(rewrites) else rewrites
        if found.is_empty():
            return {"rewrite": None, "edits": []}
        rewrite = found.row(0, named=True)
        new = token_texts(self.tokenizer, rewrite["rewrite_ids"])
        edits = [
            {
                "kind": kind,
                "source": source,
                "target": target,
                "sample_token": texts[source] if kind != "insert" else None,
                "rewrite_token": new[target] if kind != "delete" else None,
            }
            for kind, source, target in edit_operations(ids, rewrite["rewrite_ids"])
        ]
        return {"rewrite": {**{name: rewrite[name] for name in REWRITE}, "tokens": new}, "edits": edits}

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The tokenizer of the policy that drew the samples."""
        source = self.store.client.get_run(self.stages["sample"]).data.tags["rlmec.input.policy"]
        external = source.removeprefix("external:").removesuffix(PLAIN)  # a template changes no token
        local = Path(external).expanduser()
        place = (local if local.is_dir() else external) if external != source else self.fetched(source, "model")
        try:
            return load_tokenizer(place)
        except Exception as error:
            raise UserError(f"the tokenizer of {place} cannot be had ({one_line(error)})") from error


SAMPLE = ("sample_id", "problem_id", "completion", "finish_reason", "extracted_answer", "is_right")
REWRITE = ("rewriter", "rewrite", "extracted_answer", "is_right", "edit_distance", "edit_fraction", "reject_reason")


def chosen(text: str, ids: pl.Series) -> str:
    """The sample that a whole id, a row number or the beginning of an id means; UserError for none or several."""
    if text.isascii() and text.isdigit() and not text.startswith("0") and int(text) <= len(ids):
        return str(ids[int(text) - 1])
    found = ids.filter(ids.str.starts_with(text)).to_list() if text else []
    if not found:
        raise UserError(f"no sample is called {text!r}: `rlmec show RUN` lists them, rows 1 to {len(ids)}")
    if len(found) > 1:
        raise UserError(f"{text!r} means {len(found)} samples: give one of the ids {', '.join(found[:5])}")
    return str(found[0])


def only(frame: pl.DataFrame, column: str, value: str) -> dict[str, Any]:
    """The one row with a value in a column of ids."""
    return frame.filter(pl.col(column) == value).row(0, named=True)
