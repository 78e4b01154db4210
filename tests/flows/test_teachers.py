"""A teacher behind an address in a run: its ledger is in MLflow, its budget ends the run, its key is nowhere."""

import pytest

from flows.config import load_config
from flows.control import Control
from flows.doctor import keys
from flows.execution import Direct
from flows.method import method
from flows.pipeline import run_method
from flows.store import open_store
from tasks.errors import UserError

KEY = "sk-planted-6"


def test_a_run_whose_budget_ends_is_gone_on_with_and_pays_no_answer_twice(bench, rlmec, serving, monkeypatch, capfd):
    monkeypatch.setenv("PLANTED_KEY", KEY)
    server = serving(serving.mending)
    teacher = {"teacher": "server", "samples": 3, "settings.model": "m", "settings.candidates": 1,
               "settings.base_url": server.url, "settings.api_key_env": "PLANTED_KEY"}  # fmt: skip

    def run(**more):
        given = teacher | {f"settings.{name}": value for name, value in more.items()}
        sets = [f"teach.{name}={value}" for name, value in given.items()]
        config = load_config("smoke", sets=[*rlmec.small[1::2], *sets])
        run_method(method, config, Control(until="teach"), engine=Direct())

    with pytest.raises(UserError, match="the teacher's max_requests of 4 is spent: 4 requests, 400 tokens read"):
        run(max_requests=4, concurrency=1)
    assert len(server.requests) == 4
    run()
    assert len(server.requests) == 6  # 3 samples are located and rewritten

    runs = sorted(open_store().search("tags.`rlmec.stage` = 'teach'"), key=lambda run: run.info.start_time)
    asked = [
        (run.info.status, run.data.metrics["teacher/requests"], run.data.metrics["teacher/cached"]) for run in runs
    ]
    assert asked == [("FAILED", 4, 0), ("FINISHED", 2, 4)]
    assert runs[1].data.metrics["accepted"] == 3
    # How the server is reached changes no result, so it is no part of the key.
    assert runs[0].data.tags["rlmec.key"] == runs[1].data.tags["rlmec.key"]

    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in "".join(capfd.readouterr())
    files = [path for path in (bench.folder / "home").rglob("*") if path.is_file()]
    assert "teacher-answers.sqlite3" in {path.name for path in files}
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_doctor_says_which_keys_are_set_and_not_what_they_are(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert list(keys()) == [
        (True, "teacher anthropic: ANTHROPIC_API_KEY is not set"),
        (True, "teacher server: OPENAI_API_KEY is set"),
    ]
