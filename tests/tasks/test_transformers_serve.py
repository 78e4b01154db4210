"""A real server, `transformers serve` with checkpoints made here, as sampler and as teacher."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from flows.server import reserved_port
from models.policy import Decoding
from tasks.errors import UserError
from tasks.prompts import decode
from tasks.records import read_table
from tasks.sample import SampleOptions, sample
from tasks.teach import TeachOptions, teach


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory):
    """The address of a process of its own on 127.0.0.1; it loads the checkpoint that a request names."""
    pytest.importorskip("openai", reason="the extra `server` is not installed")
    program = "from transformers.cli.transformers import main; main()"
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as file, reserved_port() as port:
        words = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
        process = subprocess.Popen([sys.executable, "-c", program, *words], env=quiet, stdout=file, stderr=file)
        try:
            wait_until_up(process, f"http://127.0.0.1:{port}/health", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)


def wait_until_up(process: subprocess.Popen, url: str, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(1200):
        assert process.poll() is None, log.read_text()
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_real_server_gives_the_same_greedy_completions(transformers_serve, drawn, tokenizer):
    greedy = Decoding(24)
    here, there = drawn("hf", greedy), drawn("server", greedy, transformers_serve)
    assert len(here) == 4
    assert [decode(tokenizer, one.ids) for one in there] == [decode(tokenizer, one.ids) for one in here]
    assert [one.ended for one in there] == [one.ended for one in here]
    assert all(one.ids_from_text for one in there)  # it gives text alone
    assert not any(one.ids_from_text for one in here)


def test_a_stage_that_samples_from_it_marks_its_rows_and_one_that_gets_no_variety_stops(
    transformers_serve, policy_folder, tmp_path, wrong_samples_of
):
    inputs = {"policy": policy_folder, "problems": wrong_samples_of(3)["problems"]}
    settings = {"base_url": transformers_serve, "model": str(policy_folder)}
    common = {"sampler": "server", "max_new_tokens": 6, "device": "cpu", "samples_per_problem": 4}
    with pytest.raises(UserError, match=r"the same completion for every seed: it does not sample"):
        sample(SampleOptions(**common, settings=settings), inputs, tmp_path, seed=0)
    logged = {}
    extra = {"generation_config": '{"do_sample": true}'}
    sample(SampleOptions(**common, settings=settings | {"extra": extra}), inputs, tmp_path, seed=0,
           log=lambda numbers, step=None: logged.update(numbers))  # fmt: skip
    rows = read_table("samples", tmp_path / "samples.parquet")
    assert rows["ids_from_text"].all()
    assert logged["ids_from_text"] == logged["completions"] == 12
    assert len(rows) > 3


TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "


@pytest.fixture(scope="module")
def chatting(policy_folder, tmp_path_factory):
    """The tiny policy as a model that chats."""
    folder = tmp_path_factory.mktemp("chat") / "model"
    shutil.copytree(policy_folder, folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def test_a_teacher_says_the_same_behind_an_address_and_on_this_machine(
    transformers_serve, chatting, tmp_path, wrong_samples_of
):
    inputs = wrong_samples_of(3)
    asked = {"max_new_tokens": 12, "temperature": 0.0, "candidates": 1}

    def rows(teacher, **settings):
        teach(TeachOptions(teacher=teacher, settings=asked | settings), inputs, tmp_path)
        return read_table("rewrites", tmp_path / "rewrites.parquet").drop("rewriter")

    here = rows("local", checkpoint=str(chatting), device="cpu")
    there = rows("server", base_url=transformers_serve, model=str(chatting))
    assert here.equals(there)
    assert all(here["rewrite"].str.len_chars() > 5)
    assert set(here["reject_reason"]) == {"cut at the length limit"}
