"""`rlmec run … --dry-run`: resolves and checks everything that a run needs, and says how large it will be.

The data are read as stage `prepare` reads them, the checkpoint's configuration and tokenizer are loaded (not its
weights), the device is asked for, the store is searched. Nothing is trained, and nothing is written to the store.
Sizes are estimates: a completion is taken to be as long as the reference solution, and a half of the samples wrong.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from flows.checkpoint import check_safetensors
from flows.control import Control, trace
from flows.method import method
from flows.pipeline import in_store
from flows.registry import registered_model
from flows.report import errors_console, plain_table
from flows.store import open_store
from models import policy, tiny
from models.size import TRAINING_BYTES, WEIGHT_BYTES, forward_flops, parameter_count, training_flops
from tasks.errors import UserError
from tasks.prepare import prepare
from tasks.prompts import all_text, check_same_tokens, check_tokenizer, solution_completion, solve_prompt
from tasks.records import read_table

WRONG_SHARE = 0.5  # of the samples: not known before they are there
MEASURED = 500  # problems whose length in tokens is measured
TERA, GIGA = 1e12, 1024**3


@dataclass(frozen=True)
class Sizes:
    """What the estimates start from: rows, mean lengths in tokens, and the parameters of the policy."""

    problems: int
    benchmark_problems: int
    prompt: float
    solution: float
    parameters: int

    @property
    def solve(self) -> float:
        """Tokens of a prompt and its completion."""
        return self.prompt + self.solution

    @property
    def mend(self) -> float:
        """Tokens of a GRM prompt (problem, reference solution, sample) and the rewrite."""
        return self.prompt + 3 * self.solution


@dataclass(frozen=True)
class Estimate:
    """A stage's work: what it goes through, in words, the tokens in that, and the floating-point operations."""

    rows: str
    tokens: float = 0.0
    flops: float = 0.0


def show_plan(config: Any, control: Control) -> dict[str, Any]:
    """Check, print the plan on standard error, and return it. UserError names what cannot be had."""
    sizes = measured(config)
    device = policy.device(config.train_policy.device)
    check_device(device)
    done = in_store(method, config, control)
    stages = {label: estimate(label, config, sizes) for label in trace(method, config)}
    if "teach" in stages and "teach" not in done:
        check_teacher(config.teach)
    table = plain_table(f"Plan (preset {config.preset}, recipe {config.recipe.name})", "stage", "goes through",
                        "million tokens", "TFLOP", "")  # fmt: skip
    table.columns[1].justify = "left"
    for label, one in stages.items():
        numbers = [f"{one.tokens / 1e6:,.1f}", f"{one.flops / TERA:,.1f}"] if one.tokens else ["", ""]
        table.add_row(label, one.rows, *numbers, "in the store" if label in done else "")
    console = errors_console(140)
    console.print(table)
    left = sum(one.flops for label, one in stages.items() if label not in done)
    memory = training_memory(config, sizes) / GIGA
    for line in (
        f"Policy and GRM: {sizes.parameters:,} parameters each; training needs {memory:.2g} GiB on each device for "
        f"weights, gradients and optimiser, and more for activations. Device: {device}.",
        f"A prompt has {sizes.prompt:.0f} tokens and a solution {sizes.solution:.0f}, on average. "
        f"A half of the samples is taken to be wrong.",
        f"Still to do: {left / TERA:,.0f} TFLOP, {left / (100 * TERA) / 3600:.2g} hours at 100 TFLOP/s.",
    ):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    return {
        "parameters": sizes.parameters,
        "stages": {label: vars(one) for label, one in stages.items()},
        "flops": left,
    }


def check_teacher(options: Any) -> None:
    """UserError where a teacher behind an address lacks its key or its package; nothing is sent."""
    from tasks import parts

    teacher = parts.get("tasks.teachers", options.teacher, "teacher")
    if hasattr(teacher, "DIALECT"):
        from tasks.teachers._chat import endpoint_of

        endpoint_of(teacher.DIALECT, options.own)


def training_memory(config: Any, sizes: Sizes) -> float:
    """The bytes that weights, gradients and optimiser take on each device, of the largest of the trained models."""
    if config.execution.sharded:
        return sizes.parameters * TRAINING_BYTES / config.execution.processes
    trained = [config.train_policy, *config.upstream.values()]
    trained += [config.train_reward_model] if "reward_model" in config.uses else []
    is_small = all(options.lora for options in trained)  # the adapters themselves hardly count
    return sizes.parameters * (WEIGHT_BYTES if is_small else TRAINING_BYTES)


def measured(config: Any) -> Sizes:
    """Read the data and the checkpoint's configuration, and measure how long problems are."""
    with tempfile.TemporaryDirectory() as folder:
        options = config.prepare.model_copy(update={"near_duplicates": "off"})  # a search that may take a minute
        prepare(options, {}, Path(folder), seed=0)
        train, benchmarks = (
            read_table("problems", Path(folder, f"{name}.parquet")) for name in ("train", "benchmarks")
        )
    tokenizer, parameters = language_model(config, train)
    problems = train.head(MEASURED).to_dicts()
    prompts = [len(solve_prompt(tokenizer, problem["question"], problem["options"])) for problem in problems]
    solutions = [len(solution_completion(tokenizer, problem["solution"])) for problem in problems]
    return Sizes(len(train), len(benchmarks), sum(prompts) / len(prompts), sum(solutions) / len(solutions), parameters)


def language_model(config: Any, train: pl.DataFrame) -> tuple[Any, int]:
    """The tokenizer of the policy that a run starts from, and its number of parameters."""
    name = config.policy.checkpoint
    if name is None:
        shape = config.warm_up.architecture
        tokenizer = tiny.train_tokenizer(map(all_text, train.to_dicts()), shape.vocabulary)
        sizes = shape.layers, shape.width, shape.heads, shape.feed_forward
        return tokenizer, parameter_count(tiny.llama_config(tokenizer, *sizes))
    by_chat = config.policy.chat_template
    tokenizer, parameters = published(name, by_chat)
    check_tokenizer(tokenizer)
    if config.reward_model.checkpoint:
        check_same_tokens(published(config.reward_model.checkpoint, by_chat)[0], tokenizer, "the reward model")
    return tokenizer, parameters


def published(name: str, by_chat: bool) -> tuple[Any, int]:
    """The tokenizer of a checkpoint and its number of parameters; its weights are not loaded."""
    from transformers import AutoConfig, AutoTokenizer

    where = registered_folder(name) if name.startswith("models:/") else name
    try:
        found, parameters = AutoTokenizer.from_pretrained(where), parameter_count(AutoConfig.from_pretrained(where))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"checkpoint {name!r} cannot be had, here or from the hub ({reason})") from error
    if Path(where).is_dir():
        check_safetensors(name, Path(where))
    if not by_chat:
        found.chat_template = None
    return found, parameters


def registered_folder(address: str) -> str:
    """Where the files of a registered model lie."""
    store = open_store()
    return str(store.fetch(registered_model(store, address)))


def check_device(device: Any) -> None:
    """UserError where a device is named that is not there."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {device} cannot be used: {' '.join(str(error).split())[:120]}") from error


def estimate(label: str, config: Any, sizes: Sizes) -> Estimate:
    """The work of one stage."""
    stage, _, name = label.partition("-")
    if stage == "train_policy":
        return policy_trained(config.upstream[name] if name else config.train_policy, config, sizes)
    return ESTIMATES[stage](config, sizes)


def samples(config: Any, sizes: Sizes) -> int:
    """How many completions are sampled."""
    return min(sizes.problems, config.sample.problems or sizes.problems) * int(config.sample.samples_per_problem)


def wrong(config: Any, sizes: Sizes) -> int:
    """How many of them are taken to be wrong."""
    return round(samples(config, sizes) * WRONG_SHARE)


def taught(config: Any, sizes: Sizes) -> int:
    """How many wrong samples a teacher rewrites."""
    return min(wrong(config, sizes), config.teach.samples or wrong(config, sizes))


def prepared(config: Any, sizes: Sizes) -> Estimate:
    return Estimate(f"{sizes.problems:,} training and {sizes.benchmark_problems:,} benchmark problems")


def warmed_up(config: Any, sizes: Sizes) -> Estimate:
    options = config.warm_up
    return updated(options.updates, options.batch_size, sizes.solve, sizes, "at most ")


def sampled(config: Any, sizes: Sizes) -> Estimate:
    count = samples(config, sizes)
    tokens = count * sizes.solve
    return Estimate(f"{count:,} completions", tokens, forward_flops(sizes.parameters, tokens))


def reward_model_trained(config: Any, sizes: Sizes) -> Estimate:
    options = config.train_reward_model
    pairs = taught(config, sizes) * (1 - options.unseen_share)
    updates = options.updates or round(options.epochs * pairs * (2 + options.copies) / options.batch_size)
    return updated(updates, options.batch_size, sizes.mend, sizes)


def rewritten(config: Any, sizes: Sizes) -> Estimate:
    tokens = wrong(config, sizes) * 2 * sizes.mend  # locate, then rewrite
    return Estimate(f"{wrong(config, sizes):,} wrong samples", tokens, forward_flops(sizes.parameters, tokens))


def scored(config: Any, sizes: Sizes) -> Estimate:
    tokens = samples(config, sizes) * (sizes.mend + sizes.solve)  # by the GRM, and by the reference policy
    return Estimate(f"{samples(config, sizes):,} samples", tokens, forward_flops(sizes.parameters, tokens))


def paired(config: Any, sizes: Sizes) -> Estimate:
    tokens = wrong(config, sizes) * 2 * sizes.solve
    return Estimate(f"{wrong(config, sizes):,} wrong samples", tokens, forward_flops(sizes.parameters, tokens))


def policy_trained(options: Any, config: Any, sizes: Sizes) -> Estimate:
    """The policy, or a model that a recipe trains for its credit source."""
    is_from_samples = "samples" in options.tables
    count = samples(config, sizes) if is_from_samples else sizes.problems
    updates = options.updates or round(options.epochs * count / options.batch_size)
    rewrites = (options.wrong_share or WRONG_SHARE) if "rewrites" in options.tables else 0
    return updated(updates, options.batch_size, sizes.solve * (1 + rewrites), sizes)


def evaluated(config: Any, sizes: Sizes) -> Estimate:
    count = sizes.benchmark_problems * config.evaluate.samples
    tokens = count * sizes.solve
    return Estimate(f"{count:,} completions", tokens, forward_flops(sizes.parameters, tokens))


def updated(updates: int, batch: int, length: float, sizes: Sizes, lead: str = "") -> Estimate:
    """The work of a training stage: updates of `batch` examples of `length` tokens."""
    tokens = updates * batch * length
    return Estimate(f"{lead}{updates:,} updates of {batch}", tokens, training_flops(sizes.parameters, tokens))


ESTIMATES: Mapping[str, Callable[[Any, Sizes], Estimate]] = {
    "prepare": prepared,
    "warm_up": warmed_up,
    "sample": sampled,
    "teach": lambda config, sizes: Estimate(f"{taught(config, sizes):,} wrong samples"),
    "train_reward_model": reward_model_trained,
    "rewrite": rewritten,
    "align": lambda config, sizes: Estimate(f"{wrong(config, sizes):,} wrong samples"),
    "score": scored,
    "pair": paired,
    "evaluate": evaluated,
}
