"""`rlmec evaluate`: any checkpoint on any benchmarks, and two of them against each other on the same problems."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from flows.control import Control
from flows.execution import ExecutionOptions
from flows.pipeline import Outcome, reused_or, run_method
from flows.tables import apply_setting, checked
from tasks.compare_predictions import CompareOptions
from tasks.evaluate import EvaluateOptions
from tasks.prepare import PrepareOptions


class EvaluationConfig(BaseModel, extra="forbid", frozen=True):
    """All that an evaluation depends on."""

    checkpoint: str = Field(description="a local folder, hub id or models:/NAME@ALIAS")
    against: str | None = Field(None, description="another checkpoint, compared with on the same problems")
    chat_template: bool = Field(True, description="ask through a checkpoint's chat template, where it has one")
    seed: int = Field(0, ge=0, description="draws the samples, where there are several a problem")
    execution: ExecutionOptions = ExecutionOptions()
    prepare: PrepareOptions = PrepareOptions(dataset=None)
    evaluate: EvaluateOptions = EvaluateOptions()

    @property
    def heading(self) -> dict[str, Any]:
        """What names an evaluation."""
        return {"checkpoint": self.checkpoint, "against": self.against, "seed": self.seed}

    @property
    def run_name(self) -> str:
        return f"evaluate-{Path(self.checkpoint).name}"


def method(run: Any, config: EvaluationConfig) -> None:
    """One evaluation, or two and their comparison."""
    problems = run("prepare", config.prepare, seeded=False)["benchmarks"]
    policy = run.external(config.checkpoint, config.chat_template)
    predictions = run("evaluate", config.evaluate, policy=policy, problems=problems)["predictions"]
    if config.against:
        policy = run.external(config.against, config.chat_template)
        against = run("evaluate", config.evaluate, label="evaluate-against", policy=policy, problems=problems)
        run("compare_predictions", CompareOptions(), predictions=predictions, against=against["predictions"])


def evaluate(config: EvaluationConfig, force: list[str] | None = None) -> Outcome:
    """The evaluation as a Prefect flow."""
    return run_method(method, config, Control(tuple(force or ()), command="rlmec evaluate"))


def evaluation_config(
    checkpoint: str,
    benchmarks: Sequence[str],
    *,
    against: str | None = None,
    data: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    sets: Iterable[str] = (),
) -> EvaluationConfig:
    """The configuration from what the command line names; UserError for what does not fit.

    data: a folder with a folder of published files for each dataset that is named.
    """
    tables: dict[str, Any] = {"checkpoint": checkpoint, "against": against, "seed": seed or 0}
    tables["prepare"] = {"dataset": None, "benchmarks": list(benchmarks), "path": data}
    tables["evaluate"] = {} if samples is None else {"samples": samples}
    for text in sets:
        apply_setting(tables, text)
    return checked(EvaluationConfig, tables, "")


def run_evaluation(config: EvaluationConfig, force: tuple[str, ...] = ()) -> Outcome:
    """Evaluate; what is in the store already is not computed again."""
    control = Control(force, command="rlmec evaluate")

    def as_flow() -> Outcome:
        from prefect import flow

        return flow(name="evaluate")(evaluate)(config, list(force))

    return reused_or(method, config, control, as_flow)
