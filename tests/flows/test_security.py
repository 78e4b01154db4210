"""What must not get out, and who must not get in."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from flows.server import free_port
from tasks.errors import UserError

SECRETS = {
    "OPENAI_API_KEY": "sk-planted-1", "ANTHROPIC_API_KEY": "sk-planted-2", "HF_TOKEN": "hf_planted-3",
    "MLFLOW_TRACKING_PASSWORD": "planted-4", "PREFECT_API_AUTH_STRING": "me:planted-5",
}  # fmt: skip


def test_planted_keys_are_in_no_file_and_no_database_of_runs_that_ended_well_and_badly(tmp_path):
    environment = {**os.environ, **SECRETS, "RLMEC_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    settings = ["prepare.train_problems=40", "prepare.development_problems=12", "prepare.benchmark_problems=12",
                "warm_up.updates=2", "train_policy.updates=2"]  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    said = b""
    for recipe, more, code in (("sft", [], 0), ("sft", ["--set", "evaluate.device=nonsense"], 1)):
        command = [sys.executable, "-m", "flows.cli", "run", "smoke", "--recipe", recipe, *words, *more]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
        assert done.returncode == code, done.stderr.decode()
        said += done.stdout + done.stderr
    files = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert {"mlflow.db", "prefect.db", "error.txt", "server.log"} <= {path.name for path in files}
    for secret in SECRETS.values():
        found = [path for path in files if secret.rpartition(":")[2].encode() in path.read_bytes()]
        assert found == [], secret
        assert secret.encode() not in said


def test_an_address_with_a_password_is_refused_because_addresses_are_shown(monkeypatch, tmp_path):
    from flows.store import store_uri

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:planted@mlflow.example.org")
    with pytest.raises(UserError, match="holds a password: take it out") as error:
        store_uri(tmp_path)
    assert "planted" not in str(error.value)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of `rlmec ui` on a store of its own."""
    place, port = tmp_path_factory.mktemp("ui"), free_port()
    environment = {**os.environ, "RLMEC_HOME": str(place / "home")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    command = [sys.executable, "-m", "flows.cli", "ui", "--port", str(port)]
    with subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("MLflow is on"):
                break
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(30)


def status(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_mlflow_refuses_a_foreign_host(page):
    url = f"{page}/api/2.0/mlflow/experiments/get-by-name?experiment_name=rlmec"
    assert status(url) == 200
    assert status(url, Host="evil.example.org") == 403


def test_the_ui_listens_on_this_machine_alone(page):
    import psutil

    port = int(page.rpartition(":")[2])
    listening = {one.laddr.ip for one in psutil.net_connections("inet") if one.laddr.port == port and not one.raddr}
    assert listening == {"127.0.0.1"}


def test_a_manifest_that_names_a_path_outside_is_named(bench):
    from flows.digests import DamagedError
    from flows.store import open_store

    bench.go()
    run_id = bench.stage("train_policy")["run_id"]
    path = bench.artifact(run_id, "manifest.json")
    path.write_text(json.dumps({"model": {"../../../elsewhere": "0"}}))
    with pytest.raises(DamagedError, match="names '../../../elsewhere', which lies outside of the run's artifacts"):
        open_store().stage_run(run_id)
