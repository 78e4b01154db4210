"""`rlmec serve` against a real Prefect server, and what it refuses."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flows.server import free_port
from tasks.errors import UserError

SMALL = [
    "prepare.train_problems=40", "prepare.development_problems=12", "prepare.benchmark_problems=12",
    "warm_up.updates=4", "warm_up.check_every=4", "warm_up.check_problems=4", "sample.problems=10",
    "train_policy.updates=2", "sample.max_new_tokens=8", "evaluate.max_new_tokens=8",
]  # fmt: skip
FIRES_WITHIN = 300  # seconds: schedules are made some time ahead, and the machine may be busy


def test_a_schedule_fires_the_round_is_run_and_mlflow_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    settings = [word for setting in SMALL for word in ("--set", setting)]
    command = [sys.executable, "-m", "flows.cli", "serve", "smoke", "--recipe", "ppo-instance", "--cron", "* * * * *",
               "--port", str(free_port()), *settings]  # fmt: skip
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=errors, start_new_session=True)
    try:
        deadline = time.monotonic() + FIRES_WITHIN
        while "rlmec-smoke: version 2 " not in (tmp_path / "errors").read_text():
            assert process.poll() is None, (tmp_path / "errors").read_text()
            assert time.monotonic() < deadline, (tmp_path / "errors").read_text()
            time.sleep(1)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    from flows.store import open_store

    store = open_store()
    assert store.client.get_model_version_by_alias("rlmec-smoke", "champion").version in (1, "1")
    (first, *_) = sorted(store.search("tags.`rlmec.kind` = 'round'"), key=lambda run: run.info.start_time)
    assert (first.data.tags["rlmec.round"], first.data.tags["rlmec.promoted"]) == ("1", "False")
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []  # neither the Prefect server nor a run


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

    url = f"http://127.0.0.1:{free_port()}/api"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(UserError, match="no Prefect server answers there"),
        standing_server(),
    ):
        pass
