"""`rlmec serve` against a real Prefect server: what happened in some minutes of a schedule, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import psutil
import pytest

from flows.server import reserved_port
from tasks.errors import UserError

WITHIN = 300  # seconds: schedules are made some time ahead, and the machine may be busy
HOLDER = """
from flows.home import quieten
quieten()
from flows.engine import Prefect
from flows.execution import ExecutionOptions
from tasks.evaluate import EvaluateOptions
from prefect import flow
@flow
def hold():
    with Prefect(ExecutionOptions()).slot(EvaluateOptions(device="cuda")):
        print("held", flush=True)
        input()
hold()
"""


@contextmanager
def serving(rlmec, place, port):
    """`rlmec serve` with a schedule of every minute; at the end it is stopped as a user does."""
    words = ["serve", "smoke", "--recipe", "ppo-instance", "--cron", "* * * * *", "--port", str(port), *rlmec.small]
    with (place / "errors").open("w") as errors:
        process = rlmec.start(place, *words, errors=errors)
    try:
        wait_for(lambda: "Serving improve/smoke" in (place / "errors").read_text(), process, place)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_for(found, process, place):
    """What `found` returns, once that is something."""
    deadline = time.monotonic() + WITHIN
    while not (what := found()):
        said = (place / "errors").read_text()
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    return what


def working_on(process, flow_run):
    """The processes that `rlmec serve` started for a flow run."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if child.environ().get("PREFECT__FLOW_RUN_ID") == str(flow_run.id):
                found.append(child)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def story(tmp_path_factory, rlmec):
    """A schedule fires; a second run is asked for meanwhile; the first is killed; the next comes; serve starts anew."""
    place = tmp_path_factory.mktemp("serve")
    with pytest.MonkeyPatch.context() as patch, reserved_port() as port:
        patch.setenv("RLMEC_HOME", str(place / "home"))
        yield told(rlmec, place, port)


def told(rlmec, place, port):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.store import open_store

    story, url = SimpleNamespace(), f"http://127.0.0.1:{port}/api"
    store = open_store()  # takes seconds, which the first run would not wait
    with temporary_settings({PREFECT_API_URL: url}):
        with serving(rlmec, place, port) as process, get_client(sync_client=True) as client:
            hold_the_gpu(client, GlobalConcurrencyLimitCreate(name="gpu", limit=1), url)

            def in_state(name):
                runs = client.read_flow_runs(
                    flow_run_filter=FlowRunFilter(state={"type": {"any_": [name]}}), sort=FlowRunSort.START_TIME_ASC
                )
                return [run for run in runs if run.deployment_id]

            (first, *_) = wait_for(lambda: in_state("RUNNING"), process, place)
            deployment = client.read_deployment_by_name("improve/smoke")
            wait_for(lambda: list(store.search("tags.`rlmec.kind` = 'round'")), process, place)
            at_work = working_on(process, first)
            assert at_work
            for child in at_work:
                child.suspend()  # or it may be done before the runner, which looks every ten seconds, sees the second
            second = client.create_flow_run_from_deployment(deployment.id)
            wait_for(lambda: second.id in {run.id for run in in_state("CANCELLED")}, process, place)
            story.second = client.read_flow_run(second.id).state
            for child in at_work:
                with suppress(psutil.NoSuchProcess):  # it ended with the one before
                    child.kill()
            wait_for(lambda: client.read_flow_run(first.id).state.is_final(), process, place)
            story.killed = client.read_flow_run(first.id).state
            (done, *_) = wait_for(lambda: in_state("COMPLETED"), process, place)
            story.done = done
            story.slots = wait_for(lambda: free_slots(client), process, place)
            children = psutil.Process(process.pid).children(recursive=True)
        _, story.left = psutil.wait_procs(children, timeout=30)
        with serving(rlmec, place, port), get_client(sync_client=True) as client:
            story.before, story.after = deployment, client.read_deployment_by_name("improve/smoke")
    return story


def hold_the_gpu(client, limit, url):
    """A flow that had the one slot of `gpu` when it was killed."""
    client.create_global_concurrency_limit(limit)
    environment = {**os.environ, "PREFECT_API_URL": url}
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        assert client.read_global_concurrency_limit_by_name("gpu").active_slots == 1
        process.kill()


def free_slots(client):
    found = client.read_global_concurrency_limit_by_name("gpu")
    return found.limit - found.active_slots


def test_a_schedule_fires_the_round_is_run_and_mlflow_has_it(story):
    from flows.store import open_store

    store = open_store()
    assert story.done.auto_scheduled
    assert str(store.client.get_model_version_by_alias("rlmec-smoke", "champion").version) == "1"
    rounds = sorted(store.search("tags.`rlmec.kind` = 'round'"), key=lambda run: run.info.start_time)
    finished = [run for run in rounds if run.info.status == "FINISHED"]
    assert (finished[0].data.tags["rlmec.round"], finished[0].data.tags["rlmec.promoted"]) == ("1", "False")


def test_a_run_that_comes_while_another_is_at_work_is_cancelled(story):
    assert story.second.type.value == "CANCELLED"
    assert "concurrency limit" in story.second.message.lower()


def test_a_run_whose_process_is_killed_is_marked_and_the_next_one_does_its_round(story):
    from flows.store import open_store

    assert story.killed.type.value == "CRASHED"
    first, *_ = sorted(open_store().search("tags.`rlmec.kind` = 'round'"), key=lambda run: run.info.start_time)
    assert (first.info.status, first.data.tags["rlmec.round"]) == ("KILLED", "1")


def test_a_slot_of_the_gpu_comes_free_after_a_crash(story):
    assert story.slots == 1


def test_no_process_is_left_when_serve_ends(story):
    assert story.left == []


def test_the_schedule_is_the_same_when_serve_is_started_again(story):
    assert story.after.id == story.before.id
    assert not story.after.paused
    (before,), (after,) = story.before.schedules, story.after.schedules
    assert (after.active, after.schedule.cron) == (before.active, before.schedule.cron) == (True, "* * * * *")


def test_what_is_no_schedule_is_named():
    from flows.config import load_config
    from flows.serve import deployment

    with pytest.raises(UserError, match="--cron 'mondays': this is no schedule"):
        deployment(load_config("smoke"), "mondays")


def test_a_run_that_falls_due_while_another_is_at_work_is_cancelled_by_the_deployments_rule():
    from flows.config import load_config
    from flows.serve import deployment

    made = deployment(load_config("smoke"), "0 3 * * 1")
    assert made.concurrency_limit == 1
    assert made.concurrency_options.collision_strategy == "CANCEL_NEW"
    assert made.entrypoint == "flows.improve.improve"
    assert made.parameters["config"]["preset"] == "smoke"


def test_a_server_that_does_not_answer_is_named():
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.serve import standing_server

    with (
        reserved_port() as port,
        temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{port}/api"}),
        pytest.raises(UserError, match="no Prefect server answers there"),
        standing_server(),
    ):
        pass


def test_a_server_listens_beyond_this_machine_only_with_a_password(monkeypatch):
    from flows.serve import PORT, start_server

    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    with pytest.raises(UserError, match="--host 0.0.0.0: set PREFECT_SERVER_API_AUTH_STRING=NAME:PASSWORD first"):
        start_server("0.0.0.0", PORT)
