"""RLMEC, a line a stage. How it is run as a flow stands in `flows/rlmec.py`."""

from typing import Any

from flows.config import RunConfig
from flows.control import Control
from flows.pipeline import Outcome, reused_or
from tasks.pair import PairOptions
from tasks.score import ScoreOptions
from tasks.train_policy import TrainPolicyOptions


def method(run: Any, config: RunConfig) -> tuple[Any, Any]:
    """Every stage in order: `run(stage, options, input=output, …)` gives that stage's outputs by name. A stage whose
    outputs the recipe has no use for is left out. Returns the predictions of the policy before and after."""
    data, policy = begin(run, config)
    asked = data[config.measure_on]
    before = run("evaluate", config.evaluate, label="evaluate-before", policy=policy, problems=asked)
    made = material(run, config, policy, data["train"])
    trained = learnt(run, made, config.train_policy, config.score, config.pair)
    after = run("evaluate", config.evaluate_after, label="evaluate-after", policy=trained, problems=asked)
    return before["predictions"], after["predictions"]


def begin(run: Any, config: RunConfig) -> tuple[Any, Any]:
    """The problems, and the policy that the run starts from."""
    data = run("prepare", config.prepare, seeded=False)
    if config.policy.checkpoint:
        return data, run.external(config.policy.checkpoint, config.policy.chat_template)
    return data, run("warm_up", config.warm_up, train=data["train"], development=data["development"])["model"]


def material(run: Any, config: RunConfig, policy: Any, problems: Any) -> dict[str, Any]:
    """What there is to learn from, by name: the policy's samples of some problems, their rewrites and edits, the GRM,
    and the models that the recipe trains for its credit source."""
    uses, made = config.uses, {"policy": policy, "problems": problems}
    if "samples" in uses:
        made["samples"] = run("sample", config.sample, policy=policy, problems=problems)["samples"]
        given = {"samples": made["samples"], "problems": problems}
    if {"reward_model", "rewrites"} & uses:
        taught = made["rewrites"] = run("teach", config.teach, tokenizer=policy, **given)["rewrites"]
    if "reward_model" in uses:
        first = {"policy": policy}
        if config.reward_model.checkpoint:
            first = {
                "policy": run.external(config.reward_model.checkpoint, config.policy.chat_template),
                "tokenizer": policy,
            }
        grm = run("train_reward_model", config.train_reward_model, **first, rewrites=taught, **given)
        made["reward_model"], made["trained_pairs"] = grm["model"], grm["pairs"]
    if "rewrites" in uses and config.train_policy.rewriter == "reward_model":
        mended = {"reward_model": grm["model"], "pairs": grm["pairs"], "teacher_rewrites": taught}
        made["rewrites"] = run("rewrite", config.rewrite, **mended, **given)["rewrites"]
    if "edits" in uses:
        made["edits"] = run("align", config.align, samples=made["samples"], rewrites=made["rewrites"])["edits"]
    for name, options in config.upstream.items():
        made[name] = learnt(run, made, options, config.score.plain, config.pair.plain, f"-{name}")
    return made


def learnt(
    run: Any,
    made: dict[str, Any],
    options: TrainPolicyOptions,
    score: ScoreOptions,
    pair: PairOptions,
    suffix: str = "",
) -> Any:
    """A model that starts from the policy and learns from the material; before it, the credit that it alone reads."""

    def taking(*names: str) -> dict[str, Any]:
        return {name: made[name] for name in ("policy", "problems", *names) if name in made}

    own: dict[str, Any] = {}
    if "token_rewards" in options.tables:
        scored = run("score", score, label=f"score{suffix}", **taking("samples", *score.needs))
        own["token_rewards"] = scored["token_rewards"]
    if "pairs" in options.tables:
        paired = run("pair", pair, label=f"pair{suffix}", **taking("samples", "rewrites", *pair.needs))
        own["pairs"] = paired["pairs"]
    return run("train_policy", options, label=f"train_policy{suffix}", **taking(*options.tables), **own)["model"]


def run_pipeline(config: RunConfig, control: Control) -> Outcome:
    """Run the method: a pipeline that is all in the store needs no Prefect server and gets none."""

    def flow() -> Outcome:
        from flows.rlmec import rlmec

        return rlmec(config, list(control.force), control.only, control.until, control.from_run)

    return reused_or(method, config, control, flow)


def command(config: RunConfig) -> str:
    """The command that comes nearest to this configuration, where what the user typed is not known."""
    return f"rlmec run {config.preset} --recipe {config.recipe.name} --seed {config.seed}"
