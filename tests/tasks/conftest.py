"""A server of our own on 127.0.0.1 that answers like OpenAI's and Anthropic's, and fails when it is told to.

`serving(answer)` starts one; `answer(body)` gives the text of an answer, or a `serving.fault`. Its `requests` are the
bodies that came, its `keys` the keys that came with them. `serving.mending` is an answer that knows how to mend the
samples of `wrong_samples_of`: line 1 is wrong, and the reference solution is the right rewrite.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.prompts import solution_completion, solve_prompt
from tasks.records import stable_id, table, write_table


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

            def do_POST(self):  # noqa: N802 (the name that http.server calls)
                outer.handle(self)

            def do_GET(self):  # noqa: N802
                outer.handle(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
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


@pytest.fixture
def wrong_samples_of(tmp_path, policy_folder, tokenizer):
    """`wrong_samples_of(7)` writes 7 problems with a wrong sample each, and gives the inputs of stage teach."""

    def write(count):
        problems, samples = [], []
        for number in range(count):
            total = 2 * number + 3
            solution = f"Tom has {number}+{number + 3}={total} apples.\nThe answer is {total}."
            problem = {"problem_id": stable_id("p", number), "question": f"Tom has {number} apples, then?",
                       "solution": solution, "answer": str(total), "options": None, "source": "t", "split": "train"}  # fmt: skip
            text = solution.replace(f"={total}", f"={total + 1}").replace(f"is {total}", f"is {total + 1}")
            ids = solution_completion(tokenizer, text)
            samples.append({"sample_id": stable_id("s", number), "problem_id": problem["problem_id"],
                            "prompt_ids": solve_prompt(tokenizer, problem["question"], None), "completion_ids": ids,
                            "completion": text, "finish_reason": "stop", "is_right": False})  # fmt: skip
            problems.append(problem)
        inputs = {"samples": tmp_path / "samples.parquet", "problems": tmp_path / "problems.parquet"}
        write_table(table("problems", problems), "problems", inputs["problems"])
        write_table(table("samples", samples), "samples", inputs["samples"])
        return inputs | {"tokenizer": policy_folder}

    return write
