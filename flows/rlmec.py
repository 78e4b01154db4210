"""RLMEC as one flow, a line a stage. `method` is the method; the rest is how it is run."""

from typing import Any

from prefect import flow

from flows.config import RunConfig
from flows.control import Control
from flows.pipeline import Outcome, reused_or, run_method


def method(run: Any, config: RunConfig) -> None:
    """Every stage in order: `run(stage, options, input=output, …)` gives that stage's outputs by name."""
    data = run("prepare", config.prepare, seeded=False)
    train, development, benchmarks = data["train"], data["development"], data["benchmarks"]
    if config.policy.checkpoint:
        policy = run.external(config.policy.checkpoint)
    else:
        policy = run("warm_up", config.warm_up, train=train, development=development)["model"]
    run("evaluate", config.evaluate, label="evaluate-before", policy=policy, problems=benchmarks)

    lessons: dict[str, Any] = {}
    if config.train_policy.learns_from_samples:
        given = {
            "samples": run("sample", config.sample, policy=policy, problems=train)["samples"],
            "problems": train,
        }
        taught = run("teach", config.teach, tokenizer=policy, **given)["rewrites"]
        grm = run("train_reward_model", config.train_reward_model, policy=policy, rewrites=taught, **given)
        mended = {"reward_model": grm["model"], "pairs": grm["pairs"], "teacher_rewrites": taught}
        rewrites = run("rewrite", config.rewrite, **mended, **given)["rewrites"]
        edits = run("align", config.align, samples=given["samples"], rewrites=rewrites)["edits"]
        scores = run("score", config.score, reward_model=grm["model"], policy=policy, **given)["token_rewards"]
        lessons = {"samples": given["samples"], "rewrites": rewrites, "edits": edits, "token_rewards": scores}

    trained = run("train_policy", config.train_policy, policy=policy, problems=train, **lessons)["model"]
    run("evaluate", config.evaluate, label="evaluate-after", policy=trained, problems=benchmarks)


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
