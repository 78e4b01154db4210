"""`rlmec doctor`: can a run work in this environment? A line a check, and what to do where not."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator

from packaging.requirements import Requirement

from flows.home import home
from tasks.errors import UserError

GIGABYTE = 1024**3
LEAST_FREE = 2 * GIGABYTE

Check = Callable[[], Iterator[tuple[bool, str]]]


def check(with_prefect: bool = False) -> int:
    """Run every check and print its lines; 1 if one of them failed."""
    checks: list[Check] = [python, packages, folder, store, device, keys]
    if with_prefect:
        checks.append(prefect_server)
    is_well = True
    for one in checks:
        try:
            found = list(one())
        except Exception as error:  # noqa: BLE001 (a check that breaks is a finding, not a crash)
            found = [(False, f"{one.__name__}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")]
        for is_right, line in found:
            is_well &= is_right
            print(f"{'ok   ' if is_right else 'WRONG'} {line}")
    return 0 if is_well else 1


def python() -> Iterator[tuple[bool, str]]:
    """Python's version."""
    yield sys.version_info >= (3, 11), f"python {platform.python_version()} (3.11 or newer)"


def packages() -> Iterator[tuple[bool, str]]:
    """Every package that this one requires, against the bounds in its own metadata."""
    for text in importlib.metadata.requires("rlmec") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield False, f"{requirement.name} is not installed: pip install '{text}'"
            continue
        fits = requirement.specifier.contains(version, prereleases=True)
        advice = "" if fits else f": pip install '{text}'"
        yield fits, f"{requirement.name} {version}{advice}"


def folder() -> Iterator[tuple[bool, str]]:
    """RLMEC_HOME and the room on its disk."""
    path = home()
    how = "RLMEC_HOME" if os.environ.get("RLMEC_HOME") else "the default, RLMEC_HOME is not set"
    yield os.access(path, os.W_OK), f"results go to {path} ({how})"
    free = shutil.disk_usage(path).free
    yield (
        free >= LEAST_FREE,
        f"{free / GIGABYTE:.1f} GB free there ({LEAST_FREE / GIGABYTE:.0f} or more wanted)",
    )


def store() -> Iterator[tuple[bool, str]]:
    """The store can be opened, written and read."""
    from flows.store import open_store

    try:
        opened = open_store()
    except UserError as error:
        yield False, str(error)
        return
    run = opened.start("doctor", {"rlmec.kind": "doctor"})
    opened.client.log_text(run.info.run_id, "ok", "doctor.txt")
    opened.end(run.info.run_id, "FINISHED")
    is_found = opened.client.get_run(run.info.run_id).info.status == "FINISHED"
    opened.client.delete_run(run.info.run_id)
    yield is_found, f"the MLflow store {opened.uri} can be read and written"


def device() -> Iterator[tuple[bool, str]]:
    """What computes."""
    import torch

    if torch.cuda.is_available():
        yield True, f"device: {torch.cuda.get_device_name()} (torch {torch.__version__})"
    elif torch.backends.mps.is_available():
        yield True, f"device: Apple GPU (torch {torch.__version__})"
    else:
        yield True, f"device: CPU, {torch.get_num_threads()} threads (torch {torch.__version__})"


def keys() -> Iterator[tuple[bool, str]]:
    """Whether each teacher that asks somebody else's server has its key and its package; the key is not shown."""
    from tasks import parts

    for name in parts.names("tasks.teachers"):
        dialect = getattr(parts.get("tasks.teachers", name, "teacher"), "DIALECT", None)
        if dialect is None:
            continue
        is_set = "set" if os.environ.get(dialect.key, "").strip() else "not set"
        is_there = importlib.util.find_spec(dialect.package) is not None
        package = "" if is_there else f", and pip install 'rlmec[{dialect.extra}]' is needed"
        yield True, f"teacher {name}: {dialect.key} is {is_set}{package}"


def prefect_server() -> Iterator[tuple[bool, str]]:
    """Prefect's own short-lived server starts and answers."""
    from prefect import flow

    from flows.server import prefect_server

    @flow(name="doctor")
    def nothing() -> str:
        return "ok"

    with prefect_server():
        is_run = nothing() == "ok"
    yield is_run, "a Prefect flow runs"
