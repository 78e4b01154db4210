"""`rlmec serve`: the recurring flow on a schedule, on this machine, until Ctrl-C.

    rlmec serve tiny --cron "0 3 * * 1"      every Monday at three

Schedules are the affair of a real Prefect server (Prefect's short-lived ones make no scheduled runs): the one that
PREFECT_API_URL names, or one that answers on 127.0.0.1, or else one that is started here and ends with this command.
With `--host` that one listens beyond this machine, which it does only with PREFECT_SERVER_API_AUTH_STRING. The schedule
outlives both, in the server's database below RLMEC_HOME. A run that falls due while another of the same preset is at
work is cancelled.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.flows import serve as prefect_serve
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.config import RunConfig
from flows.home import home
from flows.improve import LEVEL, improve
from flows.server import HOST, answers, database_lock, prefect_folder, public_name, stop, wait_until_up
from flows.stage import say
from tasks.errors import UserError

PORT = 4200
PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # the name of a variable, as Prefect reads it


@contextmanager
def standing_server(host: str = HOST, port: int = PORT) -> Iterator[str]:
    """The address of a Prefect server's API that makes scheduled runs, found or started (then listening on `host`).
    UserError where it should listen beyond this machine to anyone."""
    if url := PREFECT_API_URL.value():
        if not answers(url):
            raise UserError(f"PREFECT_API_URL is {url}, but no Prefect server answers there")
        yield url
        return
    url = f"http://{HOST}:{port}/api"
    if answers(url):
        say(f"Prefect: found a server at {url}")
        with temporary_settings({PREFECT_API_URL: url}):
            yield url
        return
    with ExitStack() as running:
        with database_lock():
            server = start_server(host, port)
            running.callback(stop, server)
            wait_until_up(server, port, standing_log())
        say(f"Prefect: started a server, its UI is at http://{HOST}:{port}")
        password = os.environ.get(PASSWORD) or None
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}):
            yield url


def start_server(host: str, port: int) -> "subprocess.Popen[bytes]":
    """The process of a Prefect server with all its services, whose pages alone may call its API from a browser."""
    if host != HOST and not os.environ.get(PASSWORD):
        raise UserError(
            f"--host {host}: set {PASSWORD}=NAME:PASSWORD first, or anyone who reaches it can run flows here"
        )
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", host, "--port", str(port)]
    url = f"http://{public_name(host)}:{port}"
    # Its page would look for the API on port 4200 of the reader's own machine.
    origins = {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url, "PREFECT_SERVER_UI_API_URL": f"{url}/api"}
    with standing_log().open("ab") as file:
        return subprocess.Popen(command, env=origins | os.environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                start_new_session=True)  # fmt: skip


def standing_log() -> Path:
    """Where that server writes what it has to say."""
    return prefect_folder() / "standing-server.log"


def deployment(config: RunConfig, cron: str, level: float = LEVEL) -> RunnerDeployment:
    """The recurring flow of a preset with its schedule; UserError for a schedule that cron would not understand."""
    alone = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    try:
        made = improve.to_deployment(
            name=config.preset,
            cron=cron,
            parameters={"config": config.model_dump(mode="json"), "level": level},
            concurrency_limit=alone,
            entrypoint_type=EntrypointType.MODULE_PATH,
            description=f"One round of `rlmec improve {config.preset}`.",
        )
        return cast("RunnerDeployment", made)  # a coroutine only where it is called in one
    except ValueError as error:
        raise UserError(f"--cron {cron!r}: this is no schedule (an example is '0 3 * * 1')") from error


def serve(config: RunConfig, level: float, cron: str, host: str = HOST, port: int = PORT) -> int:
    """Keep the schedule and run what falls due until Ctrl-C; the schedule itself stays on the server."""
    made = deployment(config, cron, level)
    with standing_server(host, port):
        say(f"Serving {made.full_name}, schedule {cron!r}, until Ctrl-C; results go to {home()}")
        prefect_serve(made, pause_on_shutdown=False, print_starting_message=False)
    return 0
