"""Numbers and options in the form that MLflow takes them: names, lengths, and many at once."""

import hashlib
import json
import posixpath
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mlflow.entities import Metric, Param

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_NAME, LONGEST_VALUE = 250, 6000
MOST_PARAMS, MOST_METRICS = 100, 500
FLUSH_SECONDS = 3.0


def metric_name(name: str) -> str:
    """A metric's or parameter's name as MLflow accepts it: `f1(hard)` → `f1_hard_`; always the same."""
    clean = posixpath.normpath(re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII).lstrip("/")) or "_"
    clean = clean.replace("..", "_")
    if len(clean) <= LONGEST_NAME:
        return clean
    return f"{clean[: LONGEST_NAME - 17]}.{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested options as dotted names and texts, {"adam": {"lr": 1}} → ("adam.lr", "1"); a list is one."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield metric_name(prefix + name), text[:LONGEST_VALUE]


def log_params(client: "MlflowClient", run_id: str, values: Mapping[str, object]) -> None:
    """Log nested options as the parameters of a run."""
    params = [Param(name, text) for name, text in flat(values)]
    for start in range(0, len(params), MOST_PARAMS):
        client.log_batch(run_id, params=params[start : start + MOST_PARAMS])


class MetricLog:
    """A stage's `Log`: it gathers numbers and sends many at once, so that a number a step costs little."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self.waiting: list[Metric] = []
        self.flushed = time.monotonic()
        self.lock = threading.Lock()  # shards may report from several threads

    def __call__(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        now = int(time.time() * 1000)
        with self.lock:
            self.waiting += [Metric(metric_name(name), float(value), now, step or 0) for name, value in metrics.items()]
            is_due = len(self.waiting) >= MOST_METRICS or time.monotonic() - self.flushed > FLUSH_SECONDS
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        with self.lock:
            waiting, self.waiting, self.flushed = self.waiting, [], time.monotonic()
        for start in range(0, len(waiting), MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=waiting[start : start + MOST_METRICS])
