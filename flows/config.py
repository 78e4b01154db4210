"""The configuration of a run: a preset TOML, a recipe TOML and what the command line sets, checked whole.

    config = load_config("tiny", recipe="sft", seed=1, sets=["train_policy.updates=300"])

Each stage's options are a class beside the stage; here they are only put together.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from flows.execution import ExecutionOptions
from flows.tables import (
    Recipe,
    Tables,
    apply_recipe,
    apply_setting,
    checked,
    differing,
    merged,
    preset_tables,
    read_recipe,
    undo_recipe,
)
from tasks.align import AlignOptions
from tasks.credit import CreditOptions
from tasks.evaluate import EvaluateOptions
from tasks.pair import PairOptions
from tasks.prepare import PrepareOptions
from tasks.rewrite import RewriteOptions
from tasks.sample import SampleOptions
from tasks.score import ScoreOptions
from tasks.teach import TeachOptions
from tasks.train_policy import TrainPolicyOptions
from tasks.train_reward_model import TrainRewardModelOptions
from tasks.warm_up import WarmUpOptions

DEFAULT_PRESET, DEFAULT_RECIPE = "tiny", "rlmec"
SHARED_TRAINING = ("rewriter", "updates", "epochs", "batch_size", "wrong_share", "optimisation", "lora", "device")


class PolicyOptions(BaseModel, extra="forbid", frozen=True):
    """Which policy the run starts from."""

    checkpoint: str | None = Field(
        None, description="a local folder, hub id or models:/NAME@ALIAS to start from, in place of stage warm_up"
    )
    chat_template: bool = Field(
        True, description="ask through the checkpoint's chat template, where it has one; false: in plain text"
    )
    needs_checkpoint: bool = Field(False, description="refuse to train one from random weights in stage warm_up")

    @model_validator(mode="after")
    def has_what_it_needs(self) -> "PolicyOptions":
        if self.needs_checkpoint and not self.checkpoint:
            raise ValueError("name the checkpoint to start from: --set policy.checkpoint=PATH_OR_HUB_ID")
        return self


class RewardModelOptions(BaseModel, extra="forbid", frozen=True):
    """Which weights the GRM starts from."""

    checkpoint: str | None = Field(
        None, description="another checkpoint with the policy's tokenizer; the policy's own weights if unset"
    )


class RunConfig(BaseModel, extra="forbid", frozen=True):
    """All that a run depends on.

    A recipe without options is the one of that name, and then the rest is what differs from the preset and it: so
    `{"preset": "tiny", "seed": 3}` is whole, as a parameter of a deployment.
    """

    preset: str = Field(DEFAULT_PRESET, description="the name under which the policy is registered")
    recipe: Recipe = Field(Recipe(name=DEFAULT_RECIPE), description="how the policy is trained")
    seed: int = Field(0, ge=0, description="every stage but prepare draws its own seed from this one")
    measure_on: Literal["benchmarks", "development"] = Field(
        "benchmarks", description="the problems that accuracy is measured on; options are tuned on development"
    )
    execution: ExecutionOptions = ExecutionOptions()
    policy: PolicyOptions = PolicyOptions()
    reward_model: RewardModelOptions = RewardModelOptions()
    prepare: PrepareOptions = PrepareOptions()
    warm_up: WarmUpOptions = WarmUpOptions()
    sample: SampleOptions = SampleOptions()
    teach: TeachOptions = TeachOptions()
    train_reward_model: TrainRewardModelOptions = TrainRewardModelOptions()
    rewrite: RewriteOptions = RewriteOptions()
    align: AlignOptions = AlignOptions()
    upstream: dict[str, TrainPolicyOptions] = Field(
        {},
        description="models that a credit source reads, by the name that it asks for, each trained as the policy is "
        "but for what is said here",
    )
    score: ScoreOptions = ScoreOptions()
    pair: PairOptions = PairOptions()
    train_policy: TrainPolicyOptions = TrainPolicyOptions()
    evaluate: EvaluateOptions = EvaluateOptions()

    @model_validator(mode="before")
    @classmethod
    def with_preset(cls, given: Any) -> Any:
        """Put what is given over the preset and the recipe that it names."""
        recipe = given.get("recipe", {}) if isinstance(given, dict) else None
        if not isinstance(recipe, dict) or "options" in recipe:
            return given
        tables = preset_tables(given.get("preset", DEFAULT_PRESET))
        apply_recipe(tables, read_recipe(recipe.get("name", DEFAULT_RECIPE)))
        return merged(tables, {name: value for name, value in given.items() if name not in ("preset", "recipe")})

    @model_validator(mode="before")
    @classmethod
    def with_upstream(cls, given: Any) -> Any:
        """Put what is said of each upstream model over how the policy is trained."""
        if not isinstance(given, dict) or not isinstance(given.get("upstream"), dict):
            return given
        shared = shared_training(given)
        models = {
            name: merged(shared, own) if isinstance(own, dict) else own for name, own in given["upstream"].items()
        }
        return {**given, "upstream": models}

    @model_validator(mode="after")
    def has_what_credit_needs(self) -> "RunConfig":
        """Credit that compares a problem's samples needs several, and some reads a model that the recipe must train."""
        for options in self.crediting:
            if self.sample.samples_per_problem < options.least_samples:
                raise ValueError(
                    f"credit source {options.credit} compares the samples of a problem: set "
                    f"sample.samples_per_problem to {options.least_samples} or more"
                )
            for name in set(options.needs) - {"reward_model", "edits"} - self.upstream.keys():
                raise ValueError(
                    f"credit source {options.credit} reads a model {name!r}: say how it is trained, as a recipe's "
                    f"[upstream.{name}]"
                )
        return self

    @model_validator(mode="after")
    def adapters_are_whole(self) -> "RunConfig":
        adapters = [self.train_reward_model.lora, self.train_policy.lora]
        adapters += [options.lora for options in self.upstream.values()]
        if self.execution.sharded and any(adapters):
            raise ValueError("execution.sharded goes without lora: adapters are small, and merged into whole weights")
        return self

    @model_validator(mode="after")
    def rewrites_are_one_rewriters(self) -> "RunConfig":
        for name, options in self.upstream.items():
            if options.rewriter != self.train_policy.rewriter:
                raise ValueError(
                    f"upstream.{name}.rewriter is {options.rewriter}, and train_policy's is "
                    f"{self.train_policy.rewriter}: a run has rewrites of one alone"
                )
        return self

    @property
    def crediting(self) -> tuple[CreditOptions, ...]:
        """The stages' options by which tokens get credit that the policy learns from."""
        stages: dict[str, CreditOptions] = {"token_rewards": self.score, "pairs": self.pair}
        return tuple(options for table, options in stages.items() if table in self.train_policy.tables)

    @property
    def uses(self) -> frozenset[str]:
        """The tables that the policy and upstream models learn from, what credit needs, and the GRM where something of
        it is used."""
        learners = (self.train_policy, *self.upstream.values())
        found = frozenset[str]().union(
            *(options.tables for options in learners), *(options.needs for options in self.crediting)
        )
        found |= {"rewrites"} if "edits" in found else frozenset()
        is_teachers = self.train_policy.rewriter == "teacher"
        return found | {"reward_model"} if "rewrites" in found and not is_teachers else found

    @property
    def evaluate_after(self) -> EvaluateOptions:
        """How the trained policy is evaluated: with the prompt that it was trained with."""
        if self.train_policy.prompt == "plain":
            return self.evaluate
        return self.evaluate.model_copy(update={"prompt": "right"})

    @property
    def heading(self) -> dict[str, Any]:
        """What names a run."""
        return {"preset": self.preset, "recipe": self.recipe.name, "seed": self.seed}

    @property
    def run_name(self) -> str:
        return f"{self.preset}-{self.recipe.name}-{self.seed}"


def load_config(
    preset: str | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    sets: Iterable[str] = (),
    base: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The configuration from a preset (or `base`, a run's config.json), a recipe and settings.

    UserError, in one line, for a name that does not exist or a value that does not fit.
    """
    if preset is None and base is not None:
        tables = without_shared(deepcopy(dict(base)))
    else:
        tables = preset_tables(preset or DEFAULT_PRESET)
    old = tables.get("recipe")
    if recipe or not old:
        new = read_recipe(recipe or DEFAULT_RECIPE)
        undo_recipe(tables, old, new)
        apply_recipe(tables, new)
    if seed is not None:
        tables["seed"] = seed
    for text in sets:
        apply_setting(tables, text)
    return validated(tables)


def shared_training(tables: Mapping[str, Any]) -> Tables:
    """How the policy is trained, as far as upstream models are trained so, too."""
    policy = tables.get("train_policy", {})
    return {name: policy[name] for name in SHARED_TRAINING if isinstance(policy, dict) and name in policy}


def without_shared(tables: Tables) -> Tables:
    """A run's configuration, which holds its upstream models whole, with what is theirs alone: the rest they take again
    from how the policy is trained, which may be set anew."""
    shared = shared_training(tables)
    models = {name: differing(options, shared) for name, options in tables.get("upstream", {}).items()}
    return {**tables, "upstream": models}


def validated(tables: Mapping[str, Any]) -> RunConfig:
    """The tables as a RunConfig; UserError names the first key that is wrong."""
    return checked(RunConfig, tables, "")
