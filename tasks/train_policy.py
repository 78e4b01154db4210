"""Stage `train_policy`: the token-level RL objective and imitation, L = L_RL + λ · L_IM.

Under recipe rlmec a batch holds samples, each with what `tasks/lessons.py` says of it. Under imitate = "reference"
(recipe sft) no sample is needed: reference solutions are imitated with weight 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field, model_validator

from models import policy
from models.batch import Example
from models.loop import Optimisation
from models.objectives import Objective
from models.objectives.policy_gradient import Normalisation, PolicyGradient, Surrogate
from models.objectives.weighted_nll import WeightedNLL
from tasks.fit import History, batches, fit, shuffled_cycle
from tasks.lessons import Lessons, Weights
from tasks.progress import Log, silent
from tasks.records import derive_seed, read_table
from tasks.warm_up import reference_example
from tasks.work import ALONE, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
    def learns_something(self) -> TrainPolicyOptions:
        if self.imitate == "none" and self.reward_weight == 0:
            raise ValueError('imitate = "none" with reward_weight = 0 leaves nothing to learn from')
        return self

    @property
    def weights(self) -> Weights | None:
        """The imitation weights of samples and rewrites, where they are imitated."""
        return Weights(self.edited_weight, self.kept_weight) if self.imitate == "rewrites" else None

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
    objectives: list[Objective] = [WeightedNLL(weight=options.imitation_weight)]
    if options.learns_from_samples:
        lessons = Lessons(inputs, options.weights)
        log({"right_samples": len(lessons.right), "wrong_samples": len(lessons.wrong), "rewrites": lessons.rewritten})
        steps = mixed_batches(lessons.right, lessons.wrong, lessons.examples, options, order)
        size = len(lessons.right) + len(lessons.wrong)
        objectives.append(PolicyGradient(options.clip, options.surrogate, options.normalisation, options.reward_weight))
    else:
        examples = reference_examples(tokenizer, inputs["problems"])
        steps, size = batches(examples, options.batch_size, order), len(examples)
    updates = options.updates or max(1, round(options.epochs * size / options.batch_size))
    for _ in fit(model, steps, updates, objectives, options.optimisation, "train_policy", History(log), work):
        pass
    policy.save(model, tokenizer, out / "model")
    log({"updates": updates})


def reference_examples(tokenizer: PreTrainedTokenizerBase, problems: Path) -> list[Example]:
    rows = read_table("problems", problems).iter_rows(named=True)
    return [reference_example(tokenizer, problem) for problem in rows]


def mixed_batches(
    right: list[int],
    wrong: list[int],
    brings: Callable[[int], list[Example]],
    options: TrainPolicyOptions,
    seed: int,
) -> Iterator[list[Example]]:
    """Endless batches of what `batch_size` samples bring, of which `wrong_share` are wrong.

    right, wrong: rows of the samples table. brings: the examples that come with a row.
    """
    size, share = options.batch_size, options.wrong_share
    if share is None or not right or not wrong:
        pools = [(shuffled_cycle(right + wrong, seed), size)]
    else:
        wrongs = round(share * size)
        pools = [
            (shuffled_cycle(wrong, derive_seed(seed, "wrong")), wrongs),
            (shuffled_cycle(right, derive_seed(seed, "right")), size - wrongs),
        ]
    while True:
        yield [example for cycle, count in pools for row in islice(cycle, count) for example in brings(row)]
