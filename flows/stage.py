"""What turns a plain function into a stage: its MLflow run, its working folder, its commit.

`tasks.score.score(options, inputs, out, seed=…, log=…)` knows of none of these. `compute` gives it paths and
an empty folder, logs what it reports, and commits what it wrote; a stage that raises leaves a FAILED run.
"""

import contextlib
import fcntl
import importlib
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.artifacts import StageRun
from flows.control import Call, source_of
from flows.digests import DamagedError
from flows.home import work
from flows.key import check_unedited, roots_of
from flows.launch import in_processes
from flows.listing import first_sentence
from flows.metrics import MetricLog
from flows.notes import NOTE, stage_note
from flows.store import Store, one_line
from tasks.errors import UserError
from tasks.work import Work

Slot = Callable[[Any], contextlib.AbstractContextManager[None]]


@dataclass(frozen=True)
class Done:
    """A stage of this pipeline that is finished, and whether it was before; `remarks` are for the user to read."""

    label: str
    run: StageRun
    reused: bool
    remarks: tuple[str, ...] = ()


def say(line: str) -> None:
    """One line to the user, on standard error."""
    print(line, file=sys.stderr, flush=True)


def compute(
    store: Store,
    call: Call,
    key: str,
    code: str,
    parent: str | None,
    package: str,
    anew: bool,
    how: Work,
    slot: Slot,
    execution: Any,
) -> StageRun:
    """Run a stage in a run of its own below `parent` and commit what it wrote. `how` says who computes its shards
    and how far its checkpoints are apart; the folder for them is made here. `slot` is held while it computes.
    `execution` says in how many processes it trains. anew: what an earlier attempt has left is thrown away."""
    run = store.start(call.label, stage_tags(call, key, code), parent)
    run_id = run.info.run_id
    log = MetricLog(store.client, run_id)
    try:
        store.params(run_id, {**call.options.model_dump(mode="json"), "seed": call.seed})
        store.inputs(run_id, call.inputs)
        with naming(call), slot(call.options), working_folder(key, anew) as folder:
            started = time.monotonic()
            out = folder / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            call_function(store, call, out, package, log, replace(how, folder=folder), execution)
            log.flush()
            seconds = time.monotonic() - started
            describe(store, run_id, call, package, seconds)
            return store.commit(run, out, seconds)
    except Exception as error:
        fail(store, run_id, call.label, log, error)
        raise
    except BaseException:  # Ctrl-C or SIGTERM
        with contextlib.suppress(Exception):
            log.flush()
        store.end(run_id, "KILLED")
        raise


def call_function(
    store: Store, call: Call, out: Path, package: str, log: MetricLog, work: Work, execution: Any
) -> None:
    """Call the stage's function with local paths of its inputs, here or in several processes."""
    module = f"{package}.{call.stage}"
    try:
        inputs = {name: store.fetch(output) for name, output in call.inputs.items()}
    except DamagedError as error:
        raise UserError(f"{error}: --force the stage that wrote it") from error
    check_unedited(module, call.options, roots_of(package), execution.is_elsewhere(call.options))
    if execution.trains_together(call.options):
        in_processes(execution, module, call.stage, call.options, inputs, out, call.seed, log, work)
    else:
        function = getattr(importlib.import_module(module), call.stage)
        function(call.options, inputs, out, seed=call.seed, log=log, work=work)


@contextlib.contextmanager
def naming(call: Call) -> Iterator[None]:
    """What is a user's mistake in one of several stages of a kind says in which: train_policy-right_model."""
    try:
        yield
    except UserError as error:
        if call.label == call.stage:
            raise
        raise type(error)(f"{call.label}: {error}") from error


def describe(store: Store, run_id: str, call: Call, package: str, seconds: float) -> None:
    """Write what a stage was and what came out as its run's description."""
    about = first_sentence(importlib.import_module(f"{package}.{call.stage}").__doc__ or "")
    metrics = store.client.get_run(run_id).data.metrics
    store.tag(run_id, {NOTE: stage_note(call.label, call.stage, about, metrics, seconds)})


def stage_tags(call: Call, key: str, code: str) -> dict[str, str]:
    """What a stage's run says of itself: its key, Prefect's ids, and the run that each input came from."""
    from prefect.runtime import flow_run, task_run

    return {
        "rlmec.kind": "stage",
        "rlmec.stage": call.stage,
        "rlmec.key": key,
        "rlmec.settings": call.settings,
        "rlmec.code": code,
        "prefect.flow_run_id": flow_run.id or "",
        "prefect.task_run_id": task_run.id or "",
        **{f"rlmec.input.{name}": source_of(output) for name, output in call.inputs.items()},
    }


def fail(store: Store, run_id: str, label: str, log: MetricLog, error: Exception) -> None:
    """Mark a run FAILED; the traceback of what is not a user's mistake is shown and kept as error.txt."""
    error.add_note(f"stage {label}")
    with contextlib.suppress(Exception):  # the store may be what failed: the stage's own error matters more
        log.flush()
        if not isinstance(error, UserError):
            text = "".join(traceback.format_exception(error))
            say(text.rstrip())
            store.client.log_text(run_id, text, "error.txt")
        store.tag(run_id, {"rlmec.error": one_line(error)})
    store.end(run_id, "FAILED")


@contextlib.contextmanager
def working_folder(key: str, anew: bool) -> Iterator[Path]:
    """RLMEC_HOME/work/KEY, deleted after success; another while another process works on the same key."""
    work().mkdir(parents=True, exist_ok=True)
    with alone(work(key)) as is_alone:
        folder = work(key if is_alone else f"{key}.{os.getpid()}")
        if anew:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Whether no other live process works on the key of a working folder; while the block lasts, none begins to."""
    path = folder.with_name(f"{folder.name.partition('.')[0]}.lock")
    lock = held_lock(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            path.unlink(missing_ok=True)
            os.close(lock)


def held_lock(path: Path) -> int | None:
    """An open file that holds the lock `path`, or None where another live process holds it."""
    while True:
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)  # its holder deleted it between our two steps
