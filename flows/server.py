"""Prefect's short-lived server for one run, where PREFECT_API_URL names none.

Prefect would start one by itself, as a child that Ctrl-C in a terminal ends too, after which the flow waits
minutes to report its own end, and that SIGKILL leaves behind. This one is out of reach of Ctrl-C, and it ends
when its standard input closes, which the system does when the run that started it is gone, however it went.
"""

import importlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from flows.home import home, locked

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS, DRAIN_SECONDS = 180.0, 3.0, 2.0
# As Prefect starts its own: no UI, and only the services that a run needs.
SHORT_LIVED = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


@contextmanager
def prefect_server() -> Iterator[None]:
    """A Prefect server for the flows run inside, stopped at the end; none where a server is configured."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value():
        yield
        return
    log = prefect_folder() / "server.log"
    with ExitStack() as running:
        with database_lock():
            port, server = running.enter_context(started(log))
            importlib.import_module("transformers.modeling_utils")  # stages need it, and the server takes seconds, too
            wait_until_up(server, port, log)
        with temporary_settings({PREFECT_API_URL: f"http://{HOST}:{port}/api"}):
            yield


def prefect_folder() -> Path:
    """Where Prefect has its database, and its servers their logs."""
    folder = Path(os.environ.get("PREFECT_HOME") or home() / "prefect").expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def database_lock() -> Iterator[None]:
    """Around the start of a server: of two that made the same database at once, one would fail."""
    with locked(prefect_folder() / ".lock"):
        yield


@contextmanager
def started(log_path: Path) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """A server's port and process, stopped at the end after Prefect has sent it what it holds."""
    # The socket is bound here and handed down: a free port that is only named may be another's seconds later.
    with log_path.open("ab") as log, socket.socket() as bound:
        bound.bind((HOST, 0))
        port = int(bound.getsockname()[1])
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.server", str(bound.fileno())],
            pass_fds=[bound.fileno()],
            env={
                **os.environ,
                **SHORT_LIVED,
                "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port}",  # no page of another site
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield port, server
    finally:
        drain()
        stop(server)


def drain() -> None:
    """Let Prefect send what it still holds; it would go on trying for a minute once the server is gone."""
    with suppress(Exception):  # the classes are not part of Prefect's public interface
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        for worker in (APILogWorker, EventsWorker):
            worker.drain_all(timeout=DRAIN_SECONDS)


def wait_until_up(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Return once the server answers; RuntimeError with its last words where it ends first or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"Prefect's server ended with code {server.returncode}: {last_words(log)}")
        if answers(f"http://{HOST}:{port}/api"):
            return
        time.sleep(0.1)
    raise RuntimeError(f"Prefect's server did not start within {START_SECONDS:.0f} s: {last_words(log)}")


def last_words(log: Path) -> str:
    """The last lines of a server's log that say something, and where the whole of it is."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return f"{' / '.join(lines[-5:]) or 'nothing said'} (all of it in {log})"


def answers(url: str) -> bool:
    """Whether a server, Prefect's API or MLflow's, answers at an address."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def public_name(host: str) -> str:
    """The name by which others know the address that a server listens on."""
    return socket.gethostname() if host in ("0.0.0.0", "::") else host


def stop(server: "subprocess.Popen[bytes]") -> None:
    """End the server, in good order if it can."""
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    finally:
        if server.stdin:
            server.stdin.close()


@contextmanager
def reserved_port(host: str = HOST) -> Iterator[int]:
    """A port for a server that binds it itself. Until the end nobody else is given it who asks for any free one."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # without which the server itself would be refused
        held.bind((host, 0))
        yield int(held.getsockname()[1])


def end_with_parent() -> None:
    """End this process when its standard input closes."""
    while os.read(0, 1):  # not sys.stdin: a thread that waits on it makes Python abort where the server fails
        pass
    os._exit(0)


def main() -> None:
    """The server's own process: `python -m flows.server FD`, the descriptor of the socket that it listens on."""
    import uvicorn

    threading.Thread(target=end_with_parent, daemon=True).start()
    application = "prefect.server.api.server:create_app"
    server = uvicorn.Server(uvicorn.Config(application, factory=True, log_level="error", lifespan="on"))
    server.run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    if not server.started:
        sys.exit(3)  # as uvicorn's own command does


if __name__ == "__main__":
    main()
