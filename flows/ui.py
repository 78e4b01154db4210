"""`rlmec ui`: the MLflow server on 127.0.0.1, on this RLMEC_HOME's store, with one worker.

A plain `mlflow ui` would open another store, with four workers. MLflow asks nobody for a password: with `--host`
another machine can read and change everything. A request with a foreign Host header is refused either way.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from flows.server import HOST, answers, public_name
from flows.store import open_store
from tasks.errors import UserError

STOP_SECONDS = 8.0


def serve(host: str, port: int) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit code. UserError where the port is taken."""
    store = open_store()  # makes the store where there is none, and refuses one that was moved
    if store.is_remote:
        print(f"The store is on a server: {store.uri}", file=sys.stderr)
        return 0
    if is_taken(port):
        raise UserError(f"port {port} on {HOST} is taken: choose another with --port")
    more = ["--default-artifact-root", (store.folder / "artifacts").as_uri()]
    if host != HOST:
        known = ",".join(f"{name}:{port}" for name in (public_name(host), "localhost", HOST))
        more += ["--allowed-hosts", known]
    with tempfile.TemporaryFile() as said, mlflow_server(port, store.uri, more, said, host) as server:
        try:
            return watch(server, f"http://{public_name(host)}:{port}", said)
        except KeyboardInterrupt:
            return 0


@contextmanager
def mlflow_server(
    port: int, uri: str, more: list[str], said: IO[bytes], host: str = HOST
) -> Iterator["subprocess.Popen[bytes]"]:
    """An MLflow server process with one worker on the store at `uri`, with `more` of MLflow's options, stopped at the
    end of the block. What it says goes to the file `said`: a pipe that nobody reads would fill up and stop it."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, *more]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    # A session of its own: Ctrl-C reaches this process alone, which then stops the server's whole group.
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
    ) as server:
        try:
            yield server
        finally:
            stop(server)


def watch(server: "subprocess.Popen[bytes]", url: str, said: IO[bytes]) -> int:
    """Say when the server answers, wait until it ends, and show the end of what it said."""
    print(f"Starting MLflow on {url} …", file=sys.stderr, flush=True)
    is_announced = False
    while server.poll() is None:
        if not is_announced and answers(url):
            print(f"MLflow is on {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            is_announced = True
        time.sleep(0.3)
    said.seek(0)
    print(said.read().decode(errors="replace")[-2000:], file=sys.stderr)
    return 1


def is_taken(port: int) -> bool:
    """Whether something listens on the port already."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server and its workers."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(STOP_SECONDS)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
