"""Stage `train_policy`: the policy learns what a recipe says, a weighted sum of objectives over one common batch.

Under recipe rlmec that is L = L_RL + λ · L_IM: a batch holds samples, each with what `tasks/lessons.py` says of it.
Where only reference solutions are imitated (recipe sft) no sample is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from models import policy
from models.batch import Example
from models.loop import Optimisation
from models.lora import Lora, adapted, merged
from models.objectives import Objective
from tasks import parts
from tasks.errors import NothingToLearnError
from tasks.fit import History, Made, batches, fit, shuffled_cycle
from tasks.lessons import Lessons
from tasks.progress import Log, silent
from tasks.records import derive_seed, read_table
from tasks.warm_up import reference_example
from tasks.work import ALONE, Work

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OBJECTIVES = "models.objectives"
Target = Literal["rewrites", "right", "wrong", "references"]


class TrainPolicyOptions(BaseModel, extra="forbid", frozen=True):
    imitate: tuple[Target, ...] = Field(
        ("rewrites", "right"),
        description="what is imitated: accepted rewrites, right samples, wrong samples, reference solutions",
    )
    prompt: Literal["plain", "verdict"] = Field(
        "plain", description="verdict: the prompt says whether the completion is right, and evaluation asks for right"
    )
    objectives: dict[str, Any] = Field(
        {"policy_gradient": {}, "weighted_nll": {}},
        description="files of models/objectives, or paths, that add up to the loss, each with its settings",
        validate_default=True,
    )
    edited_weight: float = Field(1.0, ge=0, description="imitation weight of a rewrite's edited tokens")
    kept_weight: float = Field(0.5, ge=0, description="imitation weight of its other tokens, and of samples")
    rejected_weight: float = Field(
        0.0, le=0, description="imitation weight of the tokens of a wrong sample that its rewrite replaced or deleted"
    )
    rewriter: Literal["reward_model", "teacher"] = Field(
        "reward_model", description="whose rewrites are imitated or preferred"
    )
    rewarded: Literal["all", "unrewritten"] = Field(
        "all", description="unrewritten: a wrong sample with an accepted rewrite gets no token rewards"
    )
    updates: int | None = Field(None, gt=0, description="optimiser updates; if unset, `epochs` decides")
    epochs: float = Field(3.0, gt=0, description="passes over the samples (or reference solutions)")
    batch_size: int = Field(128, gt=0, description="samples (or reference solutions) in one update")
    wrong_share: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of wrong samples in a batch; as sampled if unset. Where rewrites are imitated, the wrong "
        "samples without one come on top, as often as they occur: they would take the place of rewrites",
    )
    optimisation: Optimisation = Optimisation(learning_rate=5e-6)
    lora: Lora | None = Field(None, description="train low-rank adapters, say { rank = 16 }, rather than all weights")
    device: str = "auto"

    @field_validator("objectives")
    @classmethod
    def are_there(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Each objective's settings as an instance of its class."""
        return {
            name: parts.settings(parts.get(OBJECTIVES, name, "objective").Objective, values, name)
            for name, values in given.items()
        }

    @model_validator(mode="after")
    def fits_together(self) -> TrainPolicyOptions:
        imitates = "imitation" in self.needs
        if not self.objectives:
            raise ValueError("objectives names none, which leaves nothing to learn from")
        if len(set(map(parts.short, self.objectives))) < len(self.objectives):
            raise ValueError("two objectives have the same name: give one file another")
        if imitates and not self.imitate:
            raise ValueError("an objective imitates, but imitate names nothing to imitate")
        if self.imitate and not imitates:
            raise ValueError("imitate names something, but no objective imitates: add weighted_nll, or imitate = []")
        if "wrong" in self.imitate and len(self.imitate) > 1 and self.prompt == "plain":
            raise ValueError(
                'imitating wrong samples beside others needs prompt = "verdict", which says that they are wrong'
            )
        if "rewrites" not in self.imitate and (self.rejected_weight or self.rewarded == "unrewritten"):
            raise ValueError("rejected_weight and rewarded are about samples whose rewrites are imitated: imitate them")
        if "wrong" in self.imitate and self.rejected_weight:
            raise ValueError("wrong samples are either imitated or pushed away: rejected_weight = 0, or imitate others")
        if self.prompt == "verdict" and self.needs & {"rewards", "pairs"}:
            raise ValueError(
                'prompt = "verdict" goes with imitation alone: reference log-probabilities are those of the prompt '
                "that the samples were drawn from"
            )
        return self

    @property
    def needs(self) -> frozenset[str]:
        """What the objectives need of examples."""
        return frozenset[str]().union(*(objective.needs for objective in self.objectives.values()))

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables about samples that are read, in the order in which they come to be."""
        wanted = {
            "samples": self.needs & {"rewards", "pairs"} or set(self.imitate) & {"rewrites", "right", "wrong"},
            "rewrites": "rewrites" in self.imitate or "pairs" in self.needs,
            "edits": "rewrites" in self.imitate,
            "token_rewards": "rewards" in self.needs,
            "pairs": "pairs" in self.needs,
        }
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)

    @property
    def reads_problems(self) -> bool:
        """Whether a sample's lesson needs its problem, too."""
        return self.prompt == "verdict" or "references" in self.imitate

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [parts.module_name(OBJECTIVES, name) for name in self.objectives]


def train_policy(
    options: TrainPolicyOptions,
    inputs: Mapping[str, Path],
    out: Path,
    *,
    seed: int,
    log: Log = silent,
    work: Work = ALONE,
) -> None:
    """inputs: policy (folder), problems, and the tables of `options.tables`. Writes model."""
    model, tokenizer = policy.load(inputs["policy"], policy.device(options.device))
    order = derive_seed(seed, "order")
    if "samples" in options.tables:
        lessons = Lessons(options, inputs, tokenizer)
        right, wrong = len(lessons.right), len(lessons.wrong) + len(lessons.unimitated)
        log({"right_samples": right, "wrong_samples": wrong, "rewrites": lessons.rewritten, "pairs": lessons.paired})
        if not right and not wrong:
            raise NothingToLearnError(
                "no sample teaches anything under this recipe: look at the samples and rewrites tables"
            )
        steps, size = mixed_batches(lessons, options, order), right + wrong
        longest = lessons.longest()
    else:
        examples = reference_examples(tokenizer, inputs["problems"], options)
        steps, size = batches(examples, options.batch_size, order), len(examples)
        longest = max(examples, key=len)
    updates = options.updates or max(1, round(options.epochs * size / options.batch_size))
    history = History(log)
    objectives: dict[str, Objective] = {parts.short(name): own for name, own in options.objectives.items()}
    reference = None  # is in memory only where an objective needs its whole distributions
    if "reference" in options.needs:
        reference, _ = policy.load(inputs["policy"], policy.device(options.device))
    how = options.optimisation
    model = adapted(model, options.lora, derive_seed(seed, "lora"))
    for _ in fit(model, steps, updates, objectives, how, "train_policy", history, work, seed, reference=reference,
                 longest=longest):  # fmt: skip
        pass
    policy.save(merged(model, out / "model" / "adapter"), tokenizer, out / "model")
    log({"updates": updates, "tokens_trained": history.tokens})


def reference_examples(tokenizer: PreTrainedTokenizerBase, problems: Path, options: TrainPolicyOptions) -> Made:
    """The reference solution of every problem, to be imitated."""
    verdict = True if options.prompt == "verdict" else None
    frame = read_table("problems", problems, ["question", "options", "solution"])
    return Made(len(frame), lambda row: reference_example(tokenizer, frame.row(row, named=True), verdict))


def mixed_batches(lessons: Lessons, options: TrainPolicyOptions, seed: int) -> Iterator[list[Example]]:
    """Endless batches of what `batch_size` samples bring, of which `wrong_share` are wrong; `unimitated` ones come on
    top."""
    size, share = options.batch_size, options.wrong_share
    right, wrong, unimitated = lessons.right, lessons.wrong, lessons.unimitated
    if share is None or not right or not wrong:
        pools = [(shuffled_cycle([*right, *wrong, *unimitated], seed), size)]
    else:
        wrongs = round(share * size)
        pools = [
            (shuffled_cycle(wrong, derive_seed(seed, "wrong")), wrongs),
            (shuffled_cycle(right, derive_seed(seed, "right")), size - wrongs),
        ]
        if unimitated:
            more = round(wrongs * len(unimitated) / len(wrong))
            pools.append((shuffled_cycle(unimitated, derive_seed(seed, "unimitated")), more))
    while True:
        yield [example for cycle, count in pools for row in islice(cycle, count) for example in lessons.examples(row)]
