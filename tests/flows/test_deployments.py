"""`prefect.yaml` on a real server with a process pool, and the automation of docs/operations.md."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from flows.server import HOST, reserved_port, stop, wait_until_up

ROOT = Path(__file__).parents[2]
SMALL = {
    "preset": "smoke",
    "recipe": {"name": "sft"},
    "prepare": {"train_problems": 40, "development_problems": 12, "benchmark_problems": 12},
    "warm_up": {"updates": 2},
    "train_policy": {"updates": 2},
}


@pytest.fixture(scope="module")
def prefect(tmp_path_factory):
    """Calls Prefect's command in this project's folder, with a server and an RLMEC_HOME of its own."""
    from flows.serve import standing_log, start_server

    home = tmp_path_factory.mktemp("deployments")
    with pytest.MonkeyPatch.context() as patch, reserved_port() as port:
        patch.setenv("RLMEC_HOME", str(home))
        patch.setenv("PREFECT_HOME", str(home / "prefect"))
        patch.setenv("OMP_NUM_THREADS", "1")
        server = start_server(HOST, port)
        try:
            wait_until_up(server, port, standing_log())
            patch.setenv("PREFECT_API_URL", f"http://{HOST}:{port}/api")

            def call(*words, program=("-m", "prefect")):
                done = subprocess.run(
                    [sys.executable, *program, *words], cwd=ROOT, env=os.environ, capture_output=True, text=True
                )
                assert done.returncode == 0, done.stdout + done.stderr
                return done.stdout

            call("work-pool", "create", "rlmec", "--type", "process")
            call("--no-prompt", "deploy", "--all")
            yield call
        finally:
            stop(server)


def work_off(prefect, config):
    """A run of deployment rlmec/tiny with this configuration, by a worker that looks once; what both said."""
    started = prefect("deployment", "run", "rlmec/tiny", "--param", f"config={json.dumps(config)}")
    return started + prefect("worker", "start", "--pool", "rlmec", "--run-once")


def test_a_deployment_names_a_preset_and_what_differs_and_a_worker_runs_it_into_mlflow(prefect):
    from flows.store import open_store

    work_off(prefect, SMALL)
    (run,) = open_store().search("tags.`rlmec.kind` = 'pipeline'")
    assert run.info.status == "FINISHED"
    assert run.data.params["recipe.name"] == "sft"
    assert run.data.params["train_policy.updates"] == "2"


def test_the_recurring_deployment_has_its_schedule_and_no_two_runs_at_once(prefect):
    said = prefect("deployment", "inspect", "improve/improve-tiny", "--output", "json")
    found = json.loads(said)
    assert found["schedules"][0]["schedule"]["cron"] == "0 3 * * 1"
    assert found["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert (found["global_concurrency_limit"]["limit"], found["entrypoint"]) == (1, "flows.improve.improve")


def test_the_documented_automation_sends_word_of_a_run_that_fails(prefect, monkeypatch):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    received = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words):
            pass

    with HTTPServer((HOST, 0), Receiver) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        monkeypatch.setenv("NOTIFY_URL", f"http://{HOST}:{web.server_port}/")
        prefect(example, program=("-c",))
        work_off(prefect, {"preset": "nonesuch"})
        deadline = time.monotonic() + 60
        while not received and time.monotonic() < deadline:
            time.sleep(0.5)
        web.shutdown()
    assert "ended as Failed" in received[0]
