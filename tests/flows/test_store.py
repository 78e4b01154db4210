"""What MLflow holds after a run, and what becomes of a store that was altered, moved, or left by a kill."""

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys

import psutil
import pytest

from flows.metrics import MetricLog, flat, metric_name
from flows.store import Store, is_gone, open_store, process_identity
from tasks.errors import UserError


def test_a_database_whose_making_was_killed_is_made_anew(tmp_path, monkeypatch):
    class Killed:
        """Leaves a table and dies, as MLflow's migrations do when their process is killed."""

        def __init__(self, uri):
            with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
                database.execute("CREATE TABLE spans (trace_id TEXT)")
            raise KeyboardInterrupt

    monkeypatch.setattr("flows.store.MlflowClient", Killed)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.undo()
    assert Store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db").experiment
    assert [path.name for path in tmp_path.glob("mlflow.*")] == ["mlflow.db"]


def test_a_run_is_found_in_mlflow_whole(bench):
    bench.go()
    client, stage = open_store().client, bench.stage("train_policy")
    run = client.get_run(stage["run_id"])
    parent = client.get_run(bench.outcome.run_id)

    assert run.data.tags["mlflow.parentRunId"] == bench.outcome.run_id
    assert parent.data.tags["rlmec.stage.train_policy"] == stage["run_id"]
    assert run.data.tags["rlmec.input.problems"] == bench.stage("prepare")["run_id"]
    assert run.data.params["updates"] == "2"
    assert parent.data.params["train_policy.updates"] == "2"
    history = client.get_metric_history(stage["run_id"], "loss/total _mean_")
    assert [(point.step, point.value) for point in history][:2] == [(0, 1.0), (1, 0.5)]
    assert len(history) == 1200
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "problems"
    assert parent.data.metrics["accuracy/test/after"] == 0.8
    summary = json.loads(bench.artifact(bench.outcome.run_id, "summary.json").read_text())
    assert summary == bench.outcome.summary


def test_the_model_is_a_logged_model_once_and_registered_once(bench):
    bench.go()
    store, run_id = open_store(), bench.stage("train_policy")["run_id"]
    version = store.client.get_model_version_by_alias("rlmec-toy", "candidate")
    assert version.source == f"models:/{store.stage_run(run_id).outputs['model'].model_id}"
    assert version.tags == {"recipe": "fake", "seed": "0", "accuracy.test": "0.8000"}
    assert not bench.artifact(run_id, "model").exists()
    assert list(bench.manifest(run_id)) == ["model"]
    assert list(bench.manifest(run_id)["model"]) == ["model/weights"]
    bench.go()
    assert len(store.client.search_model_versions("name = 'rlmec-toy'")) == 1
    bench.go(updates=3)
    assert store.client.get_model_version_by_alias("rlmec-toy", "candidate").version != version.version


def test_the_summary_holds_what_the_design_says(bench):
    bench.go()
    summary = bench.outcome.summary
    assert set(summary) == {"preset", "recipe", "seed", "accuracy", "stages", "seconds", "warnings"}
    assert set(summary["stages"][0]) == {"name", "run_id", "key", "digest", "reused", "seconds"}
    after = summary["accuracy"]["test"]["after"]
    # Wilson, 8 of 10, z = 1.96: centre (0.8 + z²/20) / (1 + z²/10) = 0.7167,
    # half width z·sqrt(0.8·0.2/10 + z²/400) / (1 + z²/10) = 0.2266.
    assert (after["right"], after["total"], after["rate"]) == (8, 10, 0.8)
    assert after["low"] == pytest.approx(0.7167 - 0.2266, abs=2e-4)
    assert after["high"] == pytest.approx(0.7167 + 0.2266, abs=2e-4)


@pytest.mark.parametrize("harm", ["altered", "missing"])
def test_a_stage_with_a_harmed_artifact_is_not_reused_and_the_file_is_named(bench, capsys, harm):
    bench.go()
    path = bench.artifact(bench.stage("prepare")["run_id"], "train.json")
    path.unlink() if harm == "missing" else path.write_text("xyz")
    capsys.readouterr()
    # It gives the same bytes again, so nothing after it runs.
    assert bench.go() == ["prepare"]
    said = capsys.readouterr().err
    assert re.search(rf"prepare: not reused, train\.json .*{harm}", said)
    assert str(path) in said


def test_an_altered_model_is_seen(bench):
    bench.go()
    model = open_store().stage_run(bench.stage("train_policy")["run_id"]).outputs["model"]
    assert model.path is not None
    (model.path / "weights").write_text("other")
    assert bench.go() == ["train_policy"]


def test_where_an_altered_artifact_is_needed_the_file_the_run_and_the_remedy_are_named(bench):
    bench.go()
    run_id = bench.stage("prepare")["run_id"]
    bench.artifact(run_id, "train.json").write_text("xyz")
    wanted = rf"prepare.*train\.json was altered.*{run_id}.*`rlmec run toy --force prepare --until prepare`"
    with pytest.raises(UserError, match=wanted):
        bench.go(only="train_policy", command="rlmec run toy")
    wanted = rf"prepare.*train\.json was altered.*{run_id}.*--force prepare --until prepare"
    with pytest.raises(UserError, match=wanted):
        bench.go(from_run=bench.outcome.run_id, force=("train_policy",))


def test_a_moved_store_is_refused_with_what_to_do(bench, monkeypatch):
    bench.go(until="prepare")
    moved = bench.folder / "elsewhere"
    shutil.copytree(bench.folder / "home", moved)
    monkeypatch.setenv("RLMEC_HOME", str(moved))
    with pytest.raises(UserError, match=f"was made in {bench.folder / 'home'}.*set RLMEC_HOME"):
        bench.go()


def test_runs_of_dead_processes_are_marked_killed_and_those_of_live_ones_are_left(bench):
    bench.go(until="prepare")
    store = open_store()
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    dead = {
        "host": socket.gethostname(),
        "pid": child.pid,
        "started": psutil.Process(child.pid).create_time(),
    }
    child.wait()
    elsewhere = {**dead, "host": "another machine"}
    mine = json.loads(process_identity())
    recycled = {**mine, "started": mine["started"] - 1000}  # this process's number, another start
    states = {}
    for name, identity in {"dead": dead, "elsewhere": elsewhere, "mine": mine, "recycled": recycled}.items():
        run = store.start(name, {})
        store.tag(run.info.run_id, {"rlmec.process": json.dumps(identity)})
        states[name] = run.info.run_id
    assert sorted(store.sweep()) == ["dead", "recycled"]
    states = {name: store.client.get_run(run_id).info.status for name, run_id in states.items()}
    assert states == {"dead": "KILLED", "elsewhere": "RUNNING", "mine": "RUNNING", "recycled": "KILLED"}


def test_a_process_knows_itself_as_alive():
    assert not is_gone(process_identity())


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("loss/total", "loss/total"),
        ("f1(hard)", "f1_hard_"),
        ("accuracy//data/my set.jsonl", "accuracy/data/my set.jsonl"),
        ("/accuracy/../x", "x"),
        ("größe", "gr__e"),
    ],
)
def test_metric_names_are_made_what_mlflow_accepts(name, clean):
    assert metric_name(name) == clean


def test_two_long_names_stay_two():
    first, second = metric_name("a" * 300 + "1"), metric_name("a" * 300 + "2")
    assert len(first) <= 250
    assert first != second


def test_nested_options_become_dotted_names():
    options = {"a": {"b": 1, "c": {"d": True}}, "e": [1, 2], "f": "text", "g": None, "h": {}}
    wanted = [("a.b", "1"), ("a.c.d", "true"), ("e", "[1, 2]"), ("f", "text"), ("g", "null"), ("h", "{}")]
    assert list(flat(options)) == wanted


def test_numbers_are_sent_many_at_a_time():
    class Client:
        sizes: list[int] = []  # noqa: RUF012

        def log_batch(self, run_id, metrics):
            self.sizes.append(len(metrics))

    log = MetricLog(Client(), "run")  # type: ignore[arg-type]
    for step in range(1250):
        log({"loss": 0.5}, step)
    log.flush()
    assert Client.sizes == [500, 500, 250]


def test_a_store_on_a_server_is_taken_from_the_environment_and_other_addresses_are_not(monkeypatch, tmp_path):
    from flows.store import store_uri

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert store_uri(tmp_path) == "http://tracking:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_an_unreadable_store_is_one_clear_line(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(UserError, match="the store cannot be opened"):
        Store(tmp_path, f"sqlite:///{tmp_path}/mlflow.db")
