"""A training stage in several processes: starts them, passes their numbers on, and ends them all when one fails.

    rlmec run gsm8k-small --set execution.processes=2

Each process is `python -m tasks.process JOB` and calls the stage's function; they divide every update's examples among
them, and the first writes. A launcher of the user's (torchrun, srun) may start them instead, on several machines too.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from flows.server import HOST, reserved_port
from models.deferred import torch
from tasks import errors
from tasks.errors import UserError
from tasks.process import LOG, WATCHED
from tasks.progress import Log
from tasks.work import Work

LOOK_EVERY, GRACE = 0.1, 10.0  # seconds between two looks, and for processes to end of their own accord


class ProcessError(Exception):
    """A process of a training stage failed, or was killed."""


def in_processes(
    execution: Any, module: str, function: str, options: BaseModel, inputs: Mapping[str, Path], out: Path, seed: int,
    log: Log, work: Work,
) -> None:  # fmt: skip
    """Call a stage's function in `execution.processes` processes; raises what the first of them to fail raised."""
    assert work.folder is not None
    place = work.folder / "processes"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    kind = type(options)
    job = {
        "module": module, "function": function, "options_class": [kind.__module__, kind.__qualname__],
        "options": options.model_dump(mode="json"), "inputs": {name: str(path) for name, path in inputs.items()},
        "out": str(out), "seed": seed, "folder": str(work.folder), "checkpoint_every": work.checkpoint_every,
        "sharded": execution.sharded, "threads": max(1, torch.get_num_threads() // execution.processes),
        "master_addr": socket.gethostname() if execution.launcher else HOST,
    }  # fmt: skip
    passed = passed_on(place / LOG, log)
    with ExitStack() as meanwhile:
        port = meanwhile.enter_context(reserved_port(""))  # on which the first process meets the others
        (place / "job.json").write_text(json.dumps({**job, "master_port": str(port)}))
        started = meanwhile.enter_context(running(execution, place))
        while any(process.poll() is None for process in started) and not any(process.poll() for process in started):
            next(passed)
            time.sleep(LOOK_EVERY)
        codes = {number: process.poll() for number, process in enumerate(started)}
    next(passed)
    failed = {number: code for number, code in codes.items() if code}
    if failed:
        raise failure(place, failed)


@contextmanager
def running(execution: Any, place: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The processes, or their launcher; none of them is left behind."""
    words = [sys.executable, "-m", "tasks.process", str(place / "job.json")]
    commands = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(execution.processes)]
    fixed = {"WORLD_SIZE": str(execution.processes), WATCHED: "1"}
    if execution.launcher:
        words, commands, fixed = [*launcher(execution.launcher), *words], [{}], {}
    path = os.pathsep.join(entry for entry in sys.path if entry)  # as this process finds its modules
    started = []
    try:
        for own in commands:
            environment = {**os.environ, "PYTHONPATH": path, **fixed, **own}
            started.append(subprocess.Popen(words, env=environment, stdin=subprocess.PIPE))
        yield started
    finally:
        end(started)


def launcher(command: str) -> list[str]:
    """The words of the user's launcher; UserError where it cannot be started."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"execution.launcher: {command} cannot be read as a command ({error})") from error
    if not words or shutil.which(words[0]) is None:
        raise UserError(f"execution.launcher: there is no command {words[0] if words else ''!r} here")
    return words


def end(started: list[subprocess.Popen[bytes]]) -> None:
    """End what still runs: politely, so that a launcher ends its own, and then not."""
    for process in started:
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + GRACE
    for process in started:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()


def passed_on(path: Path, log: Log) -> Iterator[None]:
    """Pass on the numbers that the first process has written since, whenever asked."""
    done = 0
    while True:
        text = path.read_bytes()[done:] if path.exists() else b""
        lines = text[: text.rfind(b"\n") + 1]
        done += len(lines)
        for line in lines.splitlines():
            metrics, step = json.loads(line)
            log(metrics, step)
        yield


def failure(place: Path, failed: Mapping[int, int]) -> Exception:
    """What to raise: the user's mistake, or else the error, that came first. One that was killed left none, and the
    others' are only that they lost it."""
    killed = [f"process {number} was ended by signal {-code}" for number, code in failed.items() if code < 0]
    reports = [json.loads(path.read_text()) | {"rank": path.stem[6:]} for path in place.glob("error-*.json")]
    for report in sorted(reports, key=lambda report: (report["kind"] != "mistake", report["time"])):
        if report["kind"] == "mistake":
            return getattr(errors, report["type"], UserError)(report["message"])  # a kind of it says more
        if not killed:
            error = ProcessError(f"process {report['rank']}: {report['type']}: {report['message']}")
            error.add_note(report["traceback"])
            return error
    reason = killed or [f"process {number} ended with code {code}" for number, code in failed.items()]
    return ProcessError(f"{reason[0]}; the same command goes on from the last checkpoint")
