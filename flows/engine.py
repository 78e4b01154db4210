"""Prefect as what runs the stages and their shards, with its task runners.

A stage is one Prefect task and each of its shards another, so that a shard is retried alone. By default they run
here, one after the other; with `execution.runner` shards are spread over threads, processes, or a Ray cluster
(the extra `ray`), by Prefect's task runner for each. What a stage writes does not depend on that.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from itertools import islice
from typing import Any, Generic, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.futures import PrefectFuture, as_completed, wait
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.execution import Direct, ExecutionOptions, Make
from models import policy
from tasks.errors import UserError
from tasks.work import Span

GPU, LEASE_SECONDS = "gpu", 60.0  # the name of the global concurrency limit, and how long a crash holds its slot
T = TypeVar("T")


class Prefect(Direct):
    """Prefect tasks; a context, since the workers of a task runner live until it is left."""

    def __init__(self, options: ExecutionOptions) -> None:
        self.options = options
        self.running = ExitStack()
        self.runner: TaskRunner[Any] | None = None

    def __exit__(self, *error: Any) -> None:
        self.running.__exit__(*error)

    def stage(self, label: str, action: Callable[[], T]) -> T:
        retries = self.options.retries
        return stage_task.with_options(name=label, task_run_name=label, retries=retries)(Here(action))

    def slot(self, options: Any) -> AbstractContextManager[None]:
        """On a GPU, a slot of the global concurrency limit `gpu`, where Prefect's server has one. A run that crashes
        stops renewing its lease, and so gives the slot back."""
        device = getattr(options, "device", None)
        if device is None or policy.device(device).type == "cpu":
            return nullcontext()
        return concurrency(GPU, lease_duration=LEASE_SECONDS)

    def shards(self, make: Make, spans: Sequence[Span]) -> Iterator[Span]:
        one = shard_task.with_options(task_run_name="rows {span.first} to {span.end}", retries=self.options.retries)
        if self.options.runner == "here" or len(spans) == 1:
            yield from (one(make, span) for span in spans)
            return
        if self.runner is None:  # only now, for a pipeline that is all in the store has no shards
            self.runner = self.running.enter_context(task_runner(self.options))
        waiting = (self.runner.submit(one, {"make": make, "span": span}) for span in spans)
        # No more than are computed at once: what is queued could not be taken back.
        running: list[PrefectFuture[Span]] = list(islice(waiting, self.options.at_once))
        while running:
            done = next(as_completed(running))
            running.remove(done)
            try:
                yield done.result()
            except Exception:  # a retry of the stage must find none of its shards still at work
                wait(running)
                raise
            running += islice(waiting, 1)


class Here(Generic[T]):
    """A call for this process alone. Prefect sends the context of a shard along to its worker, and in it what the
    stage around it was called with: the whole pipeline, did this not leave it behind."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return Here, (None,)


def is_worth_retrying(task: Any, run: Any, state: Any) -> bool:
    """Whether what failed may do better another time: not after a user's mistake."""
    return not isinstance(state.data, UserError)


# Without a cache: Prefect's and MLflow's memories of finished work would come to disagree.
@task(cache_policy=NO_CACHE, retry_condition_fn=is_worth_retrying)
def stage_task(action: "Here[T]") -> T:
    """Any stage as a Prefect task; its name is given by `with_options`."""
    return action.call()


@task(name="shard", cache_policy=NO_CACHE, retry_condition_fn=is_worth_retrying)
def shard_task(make: Make, span: Span) -> Span:
    """Any shard as a Prefect task."""
    return make(Span(*span))


def task_runner(options: ExecutionOptions) -> AbstractContextManager[TaskRunner[Any]]:
    """Prefect's task runner for these options."""
    if options.runner == "threads":
        return ThreadPoolTaskRunner(max_workers=options.at_once)
    if options.runner == "processes":
        return ProcessPoolTaskRunner(max_workers=options.at_once, initializer=end_with_parent)
    try:
        from prefect_ray import RayTaskRunner
    except ImportError as error:
        raise UserError("execution.runner=ray needs the extra `ray`: pip install 'rlmec[ray]'") from error
    # A cluster has the CPUs that it has, and refuses to be told.
    own = {} if options.ray_address else {"num_cpus": options.at_once}
    return RayTaskRunner(address=options.ray_address, init_kwargs={**own, "log_to_driver": False})


def end_with_parent() -> None:
    """End this worker process when the one that started it is gone: it would wait for work for ever."""

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
