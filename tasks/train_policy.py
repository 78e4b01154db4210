"""Stage `train_policy`: the token-level RL objective and imitation, L = L_RL + λ · L_IM.

What a sample becomes, under recipe rlmec:

    right sample   rewards R_t, and it imitates itself with weight 0.5
    wrong sample   rewards R_t; its accepted rewrite, if there is one, is imitated with weight 1 on edited
                   tokens and 0.5 on the others. A wrong sample without a rewrite keeps its rewards.

Under imitate = "reference" (recipe sft) no sample is needed: reference solutions are imitated with weight 1.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import polars as pl
from pydantic import BaseModel, Field, model_validator
from transformers import PreTrainedTokenizerBase

from models import policy
from models.batch import Example
from models.loop import Optimisation
from models.objectives import Objective
from models.objectives.policy_gradient import Normalisation, PolicyGradient, Surrogate
from models.objectives.weighted_nll import WeightedNLL
from tasks.errors import UserError
from tasks.fit import History, batches, fit, shuffled_cycle
from tasks.progress import Log, silent
from tasks.records import by_id, derive_seed, read_table
from tasks.warm_up import reference_example
from tasks.work import ALONE, Work


class TrainPolicyOptions(BaseModel, extra="forbid", frozen=True):
    imitate: Literal["rewrites", "reference", "none"] = Field("rewrites", description="what L_IM imitates")
    reward_weight: float = Field(1.0, ge=0, description="weight of L_RL; 0 leaves token rewards out")
    imitation_weight: float = Field(1.0, ge=0, description="λ, the weight of L_IM")
    edited_weight: float = Field(1.0, ge=0, description="imitation weight of a rewrite's edited tokens")
    kept_weight: float = Field(0.5, ge=0, description="imitation weight of other tokens, and of right samples")
    clip: float = Field(0.3, gt=0, lt=1, description="ε, how far the ratio may stray from 1")
    surrogate: Surrogate = "stop-gradient"
    normalisation: Normalisation = "nonzero"
    updates: int | None = Field(None, gt=0, description="optimiser updates; if unset, `epochs` decides")
    epochs: float = Field(3.0, gt=0, description="passes over the samples (or reference solutions)")
    batch_size: int = Field(128, gt=0, description="samples (or reference solutions) in one update")
    wrong_share: float | None = Field(
        None, ge=0, le=1, description="share of wrong samples in a batch; as sampled if unset"
    )
    optimisation: Optimisation = Optimisation(learning_rate=5e-6)
    device: str = "auto"

    @model_validator(mode="after")
    def learns_something(self) -> "TrainPolicyOptions":
        if self.imitate == "none" and self.reward_weight == 0:
            raise ValueError('imitate = "none" with reward_weight = 0 leaves nothing to learn from')
        return self

    @property
    def learns_from_samples(self) -> bool:
        """Whether samples, rewrites and token rewards are needed at all."""
        return self.imitate == "rewrites" or self.reward_weight > 0


def train_policy(
    options: TrainPolicyOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), problems; and samples, rewrites, edits, token_rewards where samples are learned from.

    Writes model.
    """
    model, tokenizer = policy.load(inputs["policy"], policy.device(options.device))
    order = derive_seed(seed, "order")
    if options.learns_from_samples:
        right, wrong = sample_examples(options, inputs)
        log({"right_samples": len(right), "wrong_samples": len(wrong)})
        log({"rewrites": sum(len(rows) - 1 for rows in wrong)})
        steps, size = mixed_batches(right, wrong, options, order), len(right) + len(wrong)
    else:
        examples = reference_examples(tokenizer, inputs["problems"])
        steps, size = batches(examples, options.batch_size, order), len(examples)
    objectives: list[Objective] = [WeightedNLL(weight=options.imitation_weight)]
    if options.learns_from_samples:
        objectives.append(PolicyGradient(options.clip, options.surrogate, options.normalisation, options.reward_weight))
    updates = options.updates or max(1, round(options.epochs * size / options.batch_size))
    for _ in fit(model, steps, updates, objectives, options.optimisation, "train_policy", History(log), work):
        pass
    policy.save(model, tokenizer, out / "model")
    log({"updates": updates})


def reference_examples(tokenizer: PreTrainedTokenizerBase, problems: Path) -> list[Example]:
    rows = read_table("problems", problems).iter_rows(named=True)
    return [reference_example(tokenizer, problem) for problem in rows]


# The sequences that one sample brings into a batch: itself, and its rewrite where one was accepted.
Rows = list[Example]


def sample_examples(options: TrainPolicyOptions, inputs: Mapping[str, Path]) -> tuple[list[Rows], list[Rows]]:
    """What each right and each wrong sample brings into a batch."""
    samples = read_table("samples", inputs["samples"])
    scores = by_id(read_table("token_rewards", inputs["token_rewards"]), "sample_id")
    rewrites = by_id(read_table("rewrites", inputs["rewrites"]).filter(pl.col("reject_reason").is_null()), "sample_id")
    edits = by_id(read_table("edits", inputs["edits"]), "sample_id")
    right: list[Rows] = []
    wrong: list[Rows] = []
    for sample in samples.iter_rows(named=True):
        scored = scores.get(sample["sample_id"])
        if scored is None:
            raise UserError(
                f"{inputs['token_rewards']}: sample {sample['sample_id']} has no token rewards; rerun stage score"
            )
        rows = [rewarded(options, sample, scored)]
        if sample["sample_id"] in edits and options.imitate == "rewrites":
            rows.append(imitated_rewrite(options, sample, rewrites[sample["sample_id"]], edits[sample["sample_id"]]))
        (right if sample["is_right"] else wrong).append(rows)
    return right, wrong


def rewarded(options: TrainPolicyOptions, sample: Mapping[str, Any], scored: Mapping[str, Any]) -> Example:
    """A sample with its token rewards; a right one also imitates itself."""
    length = len(sample["completion_ids"])
    imitates_itself = sample["is_right"] and options.imitate == "rewrites"
    return Example(
        sample["prompt_ids"],
        sample["completion_ids"],
        rewards=scored["rewards"],
        reference_logprobs=scored["reference_logprobs"],
        weights=[options.kept_weight] * length if imitates_itself else None,
    )


def imitated_rewrite(
    options: TrainPolicyOptions,
    sample: Mapping[str, Any],
    rewrite: Mapping[str, Any],
    edits: Mapping[str, Any],
) -> Example:
    """A rewrite to imitate, after the prompt that its sample was drawn from."""
    weights = [options.edited_weight if edited else options.kept_weight for edited in edits["rewrite_edited"]]
    return Example(sample["prompt_ids"], rewrite["rewrite_ids"], weights=weights)


def mixed_batches(
    right: list[Rows], wrong: list[Rows], options: TrainPolicyOptions, seed: int
) -> Iterator[list[Example]]:
    """Endless batches of `batch_size` samples, of which `wrong_share` are wrong, with the rewrites they bring."""
    size, share = options.batch_size, options.wrong_share
    if share is None or not right or not wrong:
        cycle = shuffled_cycle(right + wrong, seed)
        while True:
            yield [example for rows in islice(cycle, size) for example in rows]
    wrongs = round(share * size)
    pools = [(shuffled_cycle(wrong, derive_seed(seed, "wrong")), wrongs)]
    pools.append((shuffled_cycle(right, derive_seed(seed, "right")), size - wrongs))
    while True:
        yield [example for cycle, count in pools for rows in islice(cycle, count) for example in rows]
