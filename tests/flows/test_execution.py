"""Shards over threads, processes and a local Ray cluster: what a stage writes does not depend on who computed it."""

import importlib.util
import time

import pytest

from tasks.evaluate import EvaluateOptions, evaluate
from tasks.prepare import PrepareOptions, prepare
from tasks.work import Span, Work

OPTIONS = EvaluateOptions(max_new_tokens=8, batch_size=4, shard_size=5)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A Prefect server, which every task needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RLMEC_HOME", str(tmp_path_factory.mktemp("home")))
        from flows.home import quieten
        from flows.server import prefect_server

        quieten()
        with prefect_server():
            yield


@pytest.fixture(scope="module")
def inputs(policy_folder, tmp_path_factory):
    """A policy and the 12 problems of a benchmark: three shards of 5, 5 and 2."""
    out = tmp_path_factory.mktemp("prepare")
    options = PrepareOptions(dataset="arithmetic", benchmarks=["test"], train_problems=4, benchmark_problems=12)
    prepare(options, {}, out, seed=0)
    return {"policy": policy_folder, "problems": out / "benchmarks.parquet"}


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory) -> bytes:
    """What the stage writes without any engine."""
    out = tmp_path_factory.mktemp("plainly")
    evaluate(OPTIONS, inputs, out)
    return (out / "predictions.parquet").read_bytes()


@pytest.mark.parametrize("runner", ["here", "threads", "processes", "ray"])
def test_a_stage_writes_the_same_bytes_with_every_task_runner(runner, server, inputs, expected, tmp_path):
    if runner == "ray" and importlib.util.find_spec("prefect_ray") is None:
        pytest.skip("the extra `ray` is not installed")
    from flows.engine import Prefect
    from flows.execution import ExecutionOptions

    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    out.mkdir()
    with Prefect(ExecutionOptions(runner=runner, workers=2)) as engine:
        evaluate(OPTIONS, inputs, out, work=Work(work, engine.shards))
    assert len(list(work.glob("predictions-*.parquet"))) == 3
    assert (out / "predictions.parquet").read_bytes() == expected


class Flaky:
    """Fails the first time."""

    def __init__(self):
        self.calls = 0

    def __call__(self, span: Span) -> Span:
        self.calls += 1
        if self.calls == 1:
            raise OSError("a hiccup")
        return span


def test_a_shard_that_failed_is_retried_alone(server):
    from flows.engine import Prefect
    from flows.execution import ExecutionOptions

    flaky = Flaky()
    with Prefect(ExecutionOptions(retries=1)) as engine:
        assert list(engine.shards(flaky, [Span(0, 2), Span(2, 4)])) == [(0, 2), (2, 4)]
    assert flaky.calls == 3  # the first span twice, the second once


def test_where_a_shard_fails_those_at_work_are_waited_for_and_no_other_is_begun(server):
    """Or a retry of the stage would compute beside what is left of the attempt before it."""
    from flows.engine import Prefect
    from flows.execution import ExecutionOptions

    begun, done = [], []

    def make(span):
        begun.append(span.first)
        if span.first == 0:
            raise OSError("a hiccup")
        time.sleep(1)
        done.append(span.first)
        return span

    with Prefect(ExecutionOptions(runner="threads", workers=2)) as engine:
        with pytest.raises(OSError, match="a hiccup"):
            list(engine.shards(make, [Span(first, first + 1) for first in range(6)]))
        assert len(begun) <= 3  # the one that failed, the one beside it, and one in its place at most
        assert sorted([0, *done]) == sorted(begun)


def test_a_cluster_that_there_is_is_not_told_how_many_cpus_it_has():
    pytest.importorskip("prefect_ray")
    from flows.engine import task_runner
    from flows.execution import ExecutionOptions

    def told(**options):
        return task_runner(ExecutionOptions(runner="ray", workers=3, **options)).init_kwargs.get("num_cpus")

    assert (told(), told(ray_address="127.0.0.1:6379")) == (3, None)
