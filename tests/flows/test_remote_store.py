"""Two machines and one MLflow server over HTTP that passes artifacts on."""

import json
import os
import subprocess
import sys
import time

import pytest

from flows.server import free_port
from flows.ui import answers, mlflow_server

SETTINGS = ["prepare.train_problems=40", "prepare.development_problems=12", "prepare.benchmark_problems=12",
            "warm_up.updates=2", "train_policy.updates=2", "evaluate.max_new_tokens=8"]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An MLflow server with one worker: its address and the folder of its artifacts."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    url, more = f"http://127.0.0.1:{port}", ["--artifacts-destination", str(folder / "artifacts")]
    with (
        (folder / "log").open("wb") as said,
        mlflow_server(port, f"sqlite:///{folder}/mlflow.db", more, said) as process,
    ):
        while not answers(url):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        yield url, folder / "artifacts"


def run(home, url):
    """`rlmec run` on a machine with this RLMEC_HOME; its summary and what it said."""
    environment = {**os.environ, "RLMEC_HOME": str(home), "MLFLOW_TRACKING_URI": url, "OMP_NUM_THREADS": "1"}
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "flows.cli", "run", "smoke", "--recipe", "sft", "--json", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_what_one_machine_computed_another_finds_whole_and_neither_keeps_a_store_of_its_own(server, tmp_path):
    url, artifacts = server
    first, _ = run(tmp_path / "one", url)
    second, said = run(tmp_path / "two", url)
    assert [stage["reused"] for stage in first["stages"]] == [False] * 5
    assert [stage["reused"] for stage in second["stages"]] == [True] * 5
    assert second["accuracy"] == first["accuracy"]
    assert f"In MLflow: {url}" in said
    for home in (tmp_path / "one", tmp_path / "two"):
        assert not (home / "mlflow.db").exists()
        assert not (home / "artifacts").exists()
    written = {path.name for path in artifacts.rglob("*")}
    assert {"train.parquet", "predictions.parquet", "model.safetensors", "manifest.json", "summary.json"} <= written
