"""Two machines and one MLflow server over HTTP that passes artifacts on."""

import json
import time

import pytest

from flows.server import answers, reserved_port
from flows.ui import mlflow_server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An MLflow server with one worker: its address and the folder of its artifacts."""
    folder = tmp_path_factory.mktemp("server")
    more = ["--artifacts-destination", str(folder / "artifacts")]
    with (
        reserved_port() as port,
        (folder / "log").open("wb") as said,
        mlflow_server(port, f"sqlite:///{folder}/mlflow.db", more, said) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        while not answers(url):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        yield url, folder / "artifacts"


def computed(rlmec, machine, words, url):
    """The summary of a run on a machine with an RLMEC_HOME of its own, and what it said."""
    machine.mkdir()
    code, output, errors = rlmec(machine, *words, MLFLOW_TRACKING_URI=url)
    assert code == 0, errors
    return json.loads(output), errors


def test_what_one_machine_computed_another_finds_whole_and_neither_keeps_a_store_of_its_own(server, tmp_path, rlmec):
    url, artifacts = server
    words = ["run", "smoke", "--recipe", "sft", "--json", *rlmec.small]
    machines = [tmp_path / "one", tmp_path / "two"]
    (first, _), (second, said) = (computed(rlmec, machine, words, url) for machine in machines)
    assert [stage["reused"] for stage in first["stages"]] == [False] * 5
    assert [stage["reused"] for stage in second["stages"]] == [True] * 5
    assert second["accuracy"] == first["accuracy"]
    assert f"In MLflow: {url}" in said
    for machine in machines:
        assert not (machine / "home" / "mlflow.db").exists()
        assert not (machine / "home" / "artifacts").exists()
    written = {path.name for path in artifacts.rglob("*")}
    assert {"train.parquet", "predictions.parquet", "model.safetensors", "manifest.json", "summary.json"} <= written
