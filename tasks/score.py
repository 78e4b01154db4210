"""Stage `score`: a reward for every token of every sample, and its log-probability under the reference policy.

The reference policy is the one that produced the samples. Log-probabilities are fp32, full softmax, temperature 1.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from tasks import credit
from tasks.credit.grm import Options as GrmOptions
from tasks.progress import Log, silent, track
from tasks.records import by_id, read_table, table, write_table


class ScoreOptions(BaseModel, extra="forbid", frozen=True):
    credit: str = Field("grm", description="the credit source, a file of tasks/credit")
    grm: GrmOptions = GrmOptions()
    batch_size: int = Field(16, gt=0, description="samples scored at once")
    device: str = "auto"

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [f"tasks.credit.{self.credit}"]


def score(
    options: ScoreOptions, inputs: Mapping[str, Path], out: Path, *, seed: int = 0, log: Log = silent
) -> None:
    """inputs: reward_model, policy (folders), samples, problems. Writes token_rewards. Nothing here is random."""
    at = policy.device(options.device)
    problems = by_id(read_table("problems", inputs["problems"]), "problem_id")
    samples = list(read_table("samples", inputs["samples"]).iter_rows(named=True))
    source = credit.get(options.credit)
    credits = source.credit(
        getattr(options, options.credit), inputs, samples, problems, options.batch_size, at
    )
    by_row = {done.row: done for done in track(credits, "score", len(samples), "samples")}
    model, _ = policy.load(inputs["policy"], at)
    examples = [Example(sample["prompt_ids"], sample["completion_ids"]) for sample in samples]
    passes = completion_logprobs(model, examples, options.batch_size)
    reference = dict(track(passes, "score: reference", len(samples), "samples"))
    rows: list[dict[str, object]] = [
        {
            "sample_id": sample["sample_id"],
            "credit_source": options.credit,
            "probabilities": by_row[row].probabilities,
            "rewards": by_row[row].rewards,
            "reference_logprobs": reference[row].tolist(),
        }
        for row, sample in enumerate(samples)
    ]
    write_table(table("token_rewards", rows), "token_rewards", out / "token_rewards.parquet")
    log(figures([by_row[row].rewards for row in range(len(samples))], [row["is_right"] for row in samples]))


def figures(rewards: list[list[float]], is_right: list[bool]) -> dict[str, float]:
    """Reward means for right and wrong samples, and the share of tokens with a negative reward."""
    numbers: dict[str, float] = {"samples": len(rewards)}
    everything = np.concatenate([np.asarray(row) for row in rewards]) if rewards else np.zeros(0)
    numbers["negative_token_share"] = float((everything < 0).mean()) if len(everything) else 0.0
    for name, wanted in (("right", True), ("wrong", False)):
        group = [np.asarray(row) for row, right in zip(rewards, is_right, strict=True) if right == wanted]
        values = np.concatenate(group) if group else np.zeros(0)
        if len(values):
            numbers[f"reward_mean/{name}"] = float(values.mean())
            numbers[f"nonzero_share/{name}"] = float((values != 0).mean())
    return numbers
