"""A server that fails in every way, in random order: each row is rewritten or set aside with its reason, in bounded
time, and no key comes to light."""

import logging
import random
import time
from collections import Counter

import pytest

from tasks.endpoint import retry_after
from tasks.records import read_table, wrong_ids
from tasks.teach import TeachOptions, teach
from tasks.work import Work

KEY = "sk-planted-4711"
SAMPLES = 300  # two questions each, some of them asked several times


def faults(serving):
    """What may come in the place of an answer, by name."""
    fault, said = serving.fault, serving.chat_answer
    latin = b'{"choices": [{"message": {"content": "caf\xe9"}, "finish_reason": "stop"}]}'
    return {
        "429": fault(429, body=KEY.encode()),
        "429 with Retry-After": fault(429, {"Retry-After": "0.01"}),
        "500": fault(500, body=b"<html>" + KEY.encode()),
        "hang": fault(hangs=4.0),  # the client waits half as long; all else is answered within that, however busy
        "connection cut": fault(cut=True, body=b""),
        "connection cut in the middle": fault(cut=True, body=b'{"choices": [{"mess'),
        "half a JSON": fault(body=b'{"choices": [{"mess'),
        "another shape": fault(body=b'{"choices": []}'),
        "another encoding": fault(headers={"Content-Type": "application/json; charset=latin-1"}, body=latin),
        "half a character": said("\ud83d"),
        "expired key": fault(401, body=f'{{"error": {{"message": "expired key {KEY}"}}}}'.encode()),
        "empty": said(""),
        "refusal": said(None, message={"refusal": "I cannot help with that."}),
        "refusal in words": said("I'm sorry, but I can't help with that."),
        "wrong solution": said("Tom has 1+1=2 apples.\nThe answer is 2."),
        "2 MB": said("x" * 2_000_000),
        "cut at the limit": said("Tom has", finish_reason="length"),
    }


@pytest.fixture
def server(serving):
    """It fails two times of three."""
    dice, kinds = random.Random(4), faults(serving)
    happened = Counter()

    def answer(body):
        name = dice.choice([*kinds, *["good"] * (len(kinds) // 2)])
        happened[name] += 1
        return kinds[name] if name in kinds else serving.mending(body)

    made = serving(answer)
    made.happened, made.kinds = happened, kinds
    return made


def test_a_thousand_requests_to_a_server_that_fails_in_every_way(
    server, wrong_samples_of, tmp_path, monkeypatch, caplog, capfd
):
    monkeypatch.setenv("FAULTY_KEY", KEY)
    caplog.set_level(logging.DEBUG)  # what the clients log is logged, too
    settings = {"base_url": server.url, "model": "m", "api_key_env": "FAULTY_KEY", "concurrency": 16, "candidates": 1,
                "timeout": 2.0, "tries": 5, "most_failures": 60, "first_wait": 0.001, "longest_wait": 0.02}  # fmt: skip
    inputs, logged = wrong_samples_of(SAMPLES), {}
    (tmp_path / "work").mkdir()
    started = time.monotonic()
    teach(
        TeachOptions(teacher="server", settings=settings, shard_size=100),
        inputs,
        tmp_path,
        log=lambda numbers, step=None: logged.update(numbers),
        work=Work(tmp_path / "work", lasting=tmp_path / "answers"),
    )
    assert time.monotonic() - started < 90  # a third of that where nothing else runs
    rows = read_table("rewrites", tmp_path / "rewrites.parquet")
    assert rows["sample_id"].to_list() == wrong_ids(inputs["samples"])["sample_id"].to_list()
    accepted = rows.filter(rows["reject_reason"].is_null())
    assert accepted["is_right"].all()
    assert len(accepted) > SAMPLES / 3
    reasons = Counter(rows["reject_reason"].drop_nulls())
    assert {"server: the model refused", "server: answer too long", "wrong answer", "no answer",
            "cut at the length limit"} <= reasons.keys()  # fmt: skip
    assert logged["accepted"] + sum(logged[f"rejected/{reason}"] for reason in reasons) == SAMPLES
    # Every fault happened, and the server saw each request that the ledger counts.
    assert set(server.happened) == {*server.kinds, "good"}
    assert logged["teacher/requests"] == len(server.requests) >= 1000
    assert len(server.requests) == sum(server.happened.values())
    assert set(server.keys) == {f"Bearer {KEY}"}
    told = caplog.text + "".join(capfd.readouterr())
    assert KEY not in told
    assert [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


def test_retry_after_is_read_as_seconds_and_as_a_date_and_otherwise_ignored():
    assert (retry_after("2"), retry_after("0.5"), retry_after(None), retry_after("soon")) == (2.0, 0.5, None, None)
    assert retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0.0
    assert 3e9 < retry_after("Fri, 01 Jan 2200 00:00:00 GMT") < 8e9
    assert retry_after("nan") is None
