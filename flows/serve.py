"""`rlmec serve`: the recurring flow on a schedule, on this machine, until Ctrl-C.

    rlmec serve tiny --cron "0 3 * * 1"      every Monday at three

Schedules are the affair of a real Prefect server (Prefect's short-lived ones make no scheduled runs): the one that
PREFECT_API_URL names, or one that answers on 127.0.0.1, or else one that is started here and ends with this command.
The schedule outlives both, in the server's database below RLMEC_HOME. A run that falls due while another of the same
preset is at work is cancelled.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.flows import serve as prefect_serve
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.config import RunConfig
from flows.home import home
from flows.improve import LEVEL, improve
from flows.server import HOST, answers, stop, wait_until_up
from flows.stage import say
from tasks.errors import UserError

PORT = 4200


@contextmanager
def standing_server(port: int = PORT) -> Iterator[str]:
    """The address of a Prefect server's API that makes scheduled runs, found or started."""
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
    folder = home() / "prefect"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "standing-server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port)]
    with log.open("ab") as file:
        server = subprocess.Popen(command, env=dict(os.environ), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                  start_new_session=True)  # fmt: skip
    try:
        wait_until_up(server, port)
        say(f"Prefect: started a server, its UI is at http://{HOST}:{port}")
        with temporary_settings({PREFECT_API_URL: url}):
            yield url
    finally:
        stop(server)


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


def serve(config: RunConfig, cron: str, level: float = LEVEL, port: int = PORT) -> int:
    """Keep the schedule and run what falls due until Ctrl-C; the schedule itself stays on the server."""
    made = deployment(config, cron, level)
    with standing_server(port):
        say(f"Serving {made.full_name}, schedule {cron!r}, until Ctrl-C; results go to {home()}")
        prefect_serve(made, pause_on_shutdown=False, print_starting_message=False)
    return 0
