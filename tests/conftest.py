"""Fixtures that many tests share: a very small policy from random weights, real data where it is at hand, and a server.

`serving(answer)` starts a server on 127.0.0.1 that answers like OpenAI's or Anthropic's, and fails when it is told to:
`answer(body)` gives the text of an answer, or a `serving.fault`. Its `requests` are the bodies that came, its `keys`
what came with them. `serving.mending` is a teacher that is always right, where line 1 is the wrong one.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from flows.home import OF_A_STORE
from models import policy, tiny

TEXTS = [
    "Question: Tom has 12 apples. He buys 5 more. How many apples does Tom have now?\nSolution:\n",
    "Tom has 12+5=17 apples.\nThe answer is 17.",
    "Reference solution:\nStudent solution:\nCorrected solution:\nFirst wrong line:\n",
]


@pytest.fixture(autouse=True, scope="module")
def no_store() -> Iterator[None]:
    """A file of tests knows no store and no server of whoever starts it, nor what the files before it set."""
    with patch.dict(os.environ):
        for name in OF_A_STORE:
            os.environ.pop(name, None)
        yield


@pytest.fixture(autouse=True)
def one_thread():
    """The models here are so small that a second thread costs more than it gives."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.train_tokenizer(TEXTS * 3, 320)


@pytest.fixture(scope="session")
def model(tokenizer):
    return tiny.new_llama(tokenizer, layers=2, width=32, heads=2, feed_forward=64, seed=0).eval()


@pytest.fixture(scope="session")
def policy_folder(model, tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("policy") / "model"
    policy.save(model, tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of published datasets that RLMEC_DATA names."""
    folder = os.environ.get("RLMEC_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("RLMEC_DATA names no folder of published datasets")
    return Path(folder)


@dataclass(frozen=True)
class Fault:
    """What a server does in the place of an answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    hangs: float = 0.0  # seconds
    cut: bool = False  # close the connection before, or in the middle of, the answer


def chat_answer(text, **more):
    """A chat completion as OpenAI's API gives it."""
    message = {"role": "assistant", "content": text} | more.pop("message", {})
    choice = {"index": 0, "finish_reason": "stop", "message": message} | more
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}


class Server:
    """Requests come in threads, and are written down in the order in which they came."""

    def __init__(self, answer: Callable[[dict], object]) -> None:
        self.answer, self.requests, self.keys = answer, [], []
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                outer.handle(self)

            def do_GET(self):
                outer.handle(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # a client that went away is no news
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers.get("Content-Length") or 0)) or b"{}")
        with self.lock:
            self.requests.append(body)
            self.keys.append(handler.headers.get("Authorization") or handler.headers.get("x-api-key"))
            made = self.answer(body)
        if isinstance(made, str):
            made = chat_answer(made)
        fault = made if isinstance(made, Fault) else Fault(body=json.dumps(made).encode())
        time.sleep(fault.hangs)
        try:
            if fault.cut and not fault.body:
                handler.close_connection = True
                handler.connection.close()
                return
            handler.send_response(fault.status)
            for name, text in ({"Content-Type": "application/json"} | fault.headers).items():
                handler.send_header(name, text)
            handler.send_header("Content-Length", str(len(fault.body) * (2 if fault.cut else 1)))
            handler.end_headers()
            handler.wfile.write(fault.body)
            handler.close_connection = fault.cut
        except OSError:  # the client gave up
            handler.close_connection = True


def said(body):
    """The last message of a request."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def mending(body):
    """A teacher that is always right."""
    if "first line that is wrong" in said(body):
        return "1"
    first = body["messages"][0]["content"]
    return first.partition("Reference solution:\n")[2].partition("\n\nStudent solution:\n")[0]


class Serving:
    """Starts servers, and has what tests give them to answer with."""

    fault, chat_answer, mending, said = Fault, staticmethod(chat_answer), staticmethod(mending), staticmethod(said)

    def __init__(self):
        self.servers = []

    def __call__(self, answer):
        self.servers.append(Server(answer))
        return self.servers[-1]


@pytest.fixture
def serving():
    made = Serving()
    yield made
    for server in made.servers:
        server.http.shutdown()
        server.http.server_close()
