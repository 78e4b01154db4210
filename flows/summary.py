"""summary.json of a pipeline, from what its stages logged, and the same numbers on the parent run."""

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mlflow.entities import Metric

from flows.metrics import metric_name
from tasks.intervals import wilson

if TYPE_CHECKING:
    from flows.stage import Done
    from flows.store import Store

Numbers = Mapping[str, Mapping[str, float]]  # what each stage logged, the latest value of every metric, by label
SIDES = {
    "evaluate-before": "before", "evaluate-after": "after",
    "evaluate": "checkpoint", "evaluate-against": "against",
}  # fmt: skip


def share(logged: Mapping[str, float], benchmark: str) -> dict[str, float]:
    """{right, total, rate, low, high} of a benchmark, from what an evaluation logged."""
    right, total = logged[f"right/{benchmark}"], int(logged[f"total/{benchmark}"])
    low, high = logged.get(f"low/{benchmark}"), logged.get(f"high/{benchmark}")
    if low is None or high is None:
        low, high = wilson(int(right), total)
    return {"right": int(right) if right == int(right) else right, "total": total, "rate": right / total,
            "low": low, "high": high}  # fmt: skip


def build(config: Any, done: Sequence["Done"], numbers: Numbers, seconds: float) -> dict[str, Any]:
    """summary.json; its accuracy has the sides, before and after, that were evaluated."""
    return {
        **config.heading,
        "accuracy": accuracy(numbers),
        "stages": [
            {
                "name": stage.label,
                "run_id": stage.run.run_id,
                "key": stage.run.key,
                "digest": stage.run.digest,
                "reused": stage.reused,
                "seconds": stage.run.seconds,
            }
            for stage in done
        ],
        "seconds": round(seconds, 3),
        "warnings": warnings(config, numbers),
    }


@lru_cache(maxsize=1024)
def stage_metrics(store: "Store", run_id: str) -> Mapping[str, float]:
    """The latest value of every metric of a stage's run, which is finished, so that they stay as they are."""
    return dict(store.client.get_run(run_id).data.metrics)


def accuracy(numbers: Numbers) -> dict[str, dict[str, dict[str, float]]]:
    """{benchmark: {side: share}} from the metrics of the evaluations; the sides are those of SIDES."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for label, side in SIDES.items():
        logged = numbers.get(label, {})
        for name, total in logged.items():
            benchmark = name.removeprefix("total/")
            if benchmark != name and total:
                result.setdefault(benchmark, {})[side] = share(logged, benchmark)
    return result


def warnings(config: Any, numbers: Numbers) -> list[str]:
    """What the user should know before trusting the numbers."""
    if numbers.get("warm_up", {}).get("band_reached") != 0:
        return []
    band = getattr(config.warm_up, "band", None)
    reached = numbers["warm_up"].get("development_accuracy")
    at = f" at {reached:.3f}" if reached is not None else ""
    return [f"warm_up ended{at}, outside the wanted band of development accuracy {band}"]


HEADLINES = {  # (stage, its metric): the name on the parent run; MLflow draws those with one beginning together
    **{
        ("rewrite", f"{figure}/{group}"): f"grm/{figure}_{group}"
        for figure in ("rewrites_right", "equations_hold", "locating_accuracy", "edit_fraction")
        for group in ("trained", "unseen")
    },
    ("sample", "right_share"): "data/samples_right_share",
    ("sample", "samples"): "data/samples",
    ("rewrite", "accepted"): "data/rewrites_accepted",
    ("score", "negative_token_share"): "data/negative_token_share",
    ("train_policy", "tokens_trained"): "cost/tokens_trained",
}


def headlines(summary: Mapping[str, Any], numbers: Numbers) -> dict[str, float]:
    """The numbers of stages by which runs are compared, and the time that their stages took when they ran."""
    found = {}
    for (stage, metric), name in HEADLINES.items():
        if metric in numbers.get(stage, {}):
            found[name] = numbers[stage][metric]
    return {**found, "cost/stage_seconds": sum(stage["seconds"] for stage in summary["stages"])}


def log_numbers(store: "Store", run_id: str, summary: Mapping[str, Any], numbers: Numbers) -> None:
    """Put accuracy before, after and gained on the parent run, where MLflow compares runs, and the headlines."""
    now = int(time.time() * 1000)
    values = {"seconds": summary["seconds"], **headlines(summary, numbers)}
    for benchmark, sides in summary["accuracy"].items():
        values |= {f"accuracy/{benchmark}/{side}": figures["rate"] for side, figures in sides.items()}
        if {"before", "after"} <= set(sides):
            values[f"accuracy/{benchmark}/gain"] = sides["after"]["rate"] - sides["before"]["rate"]
    metrics = [Metric(metric_name(name), value, now, 0) for name, value in values.items()]
    store.client.log_batch(run_id, metrics=metrics)
