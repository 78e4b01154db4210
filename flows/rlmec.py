"""RLMEC as one flow, a line a stage. `method` is the method; the rest is how it is run."""

from typing import Any

from prefect import flow

from flows.config import RunConfig
from flows.control import Control
from flows.pipeline import Outcome, reused_or, run_method


def method(run: Any, config: RunConfig) -> tuple[Any, Any]:
    """Every stage in order: `run(stage, options, input=output, …)` gives that stage's outputs by name. A stage whose
    outputs the recipe has no use for is left out. Returns the predictions of the policy before and after."""
    data = run("prepare", config.prepare, seeded=False)
    train, development, asked = data["train"], data["development"], data[config.measure_on]
    by_chat = config.policy.chat_template
    if config.policy.checkpoint:
        policy = run.external(config.policy.checkpoint, by_chat)
    else:
        policy = run("warm_up", config.warm_up, train=train, development=development)["model"]
    before = run("evaluate", config.evaluate, label="evaluate-before", policy=policy, problems=asked)

    uses, made = config.uses, dict[str, Any]()
    if "samples" in uses:
        made["samples"] = run("sample", config.sample, policy=policy, problems=train)["samples"]
    given = {**made, "problems": train}
    if "reward_model" in uses:
        taught = run("teach", config.teach, tokenizer=policy, **given)["rewrites"]
        first = {"policy": policy}
        if config.reward_model.checkpoint:
            first = {"policy": run.external(config.reward_model.checkpoint, by_chat), "tokenizer": policy}
        grm = run("train_reward_model", config.train_reward_model, **first, rewrites=taught, **given)
    if "rewrites" in uses:
        mended = {"reward_model": grm["model"], "pairs": grm["pairs"], "teacher_rewrites": taught}
        made["rewrites"] = run("rewrite", config.rewrite, **mended, **given)["rewrites"]
        both = {"samples": made["samples"], "rewrites": made["rewrites"]}
    if "edits" in uses:
        made["edits"] = run("align", config.align, **both)["edits"]
    if "token_rewards" in uses:
        credit = {"reward_model": grm["model"]} if "reward_model" in config.score.needs else {}
        made["token_rewards"] = run("score", config.score, policy=policy, **credit, **given)["token_rewards"]
    if "pairs" in uses:
        made["pairs"] = run("pair", config.pair, policy=policy, **both)["pairs"]

    trained = run("train_policy", config.train_policy, policy=policy, problems=train, **made)["model"]
    after = run("evaluate", config.evaluate_after, label="evaluate-after", policy=trained, problems=asked)
    return before["predictions"], after["predictions"]


@flow(name="rlmec")
def rlmec(
    config: RunConfig,
    force: list[str] | None = None,
    only: str | None = None,
    until: str | None = None,
    from_run: str | None = None,
) -> Outcome:
    """The method as a Prefect flow; its controls are parameters, so that a deployment offers them, too."""
    control = Control(tuple(force or ()), only, until, from_run, command(config))
    return run_method(method, config, control)


def run_pipeline(config: RunConfig, control: Control) -> Outcome:
    """Run the method: a pipeline that is all in the store needs no Prefect server and gets none."""
    force, only, until, from_run = list(control.force), control.only, control.until, control.from_run
    return reused_or(method, config, control, lambda: rlmec(config, force, only, until, from_run))


def command(config: RunConfig) -> str:
    """The command that comes nearest to this configuration, where what the user typed is not known."""
    return f"rlmec run {config.preset} --recipe {config.recipe.name} --seed {config.seed}"
