"""One of several processes that train a stage's model: it joins the others, calls the stage's function and ends.

    python -m tasks.process JOB.json           started by flows/launch.py, once a process
    srun … python -m tasks.process JOB.json    or by a launcher that sets RANK, WORLD_SIZE, …

The job says which function, with which options and paths. All processes call it alike; the first one's `out` and
working folder are the stage's, and its numbers become lines of log.jsonl beside the job. What goes wrong in a process
stands in error-RANK.json there, and what a process other than the first prints in output-RANK.txt.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from tasks.errors import UserError

LOG, WATCHED = "log.jsonl", "RLMEC_WATCHED"
SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
PATIENCE = timedelta(hours=2)  # in which every process must have done what the others wait for


def main(path: Path) -> int:
    """Do the job of this process; its exit code."""
    job = json.loads(path.read_text())
    for name, other in SLURM.items():
        if other in os.environ:
            os.environ.setdefault(name, os.environ[other])
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        os.environ.setdefault(name, job[name.lower()])
    rank = int(os.environ["RANK"])
    if os.environ.get(WATCHED):
        threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        with said_elsewhere(path.parent, rank), joined(job):
            call(job, path.parent, rank)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the user must be told)
        kind = "mistake" if isinstance(error, UserError) else "error"
        report = {"kind": kind, "message": f"{error}" or type(error).__name__, "type": type(error).__name__,
                  "traceback": traceback.format_exc(), "time": time.time()}  # fmt: skip
        written = path.with_name(f".error-{rank}.json")
        written.write_text(json.dumps(report))
        written.rename(path.with_name(f"error-{rank}.json"))  # whole, or not there: this process may be ended any time
        return 1
    return 0


def call(job: Mapping[str, Any], folder: Path, rank: int) -> None:
    """Call the stage's function; what others than the first write into `out` is dropped."""
    from tasks.work import Work

    module, name = job["options_class"]
    options = getattr(importlib.import_module(module), name).model_validate(job["options"])
    function = getattr(importlib.import_module(job["module"]), job["function"])
    inputs = {name: Path(path) for name, path in job["inputs"].items()}
    work = Work(Path(job["folder"]), checkpoint_every=job["checkpoint_every"], sharded=job["sharded"])

    def log(metrics: Mapping[str, float], step: int | None = None) -> None:
        if rank == 0:
            with open(folder / LOG, "a") as file:
                file.write(json.dumps([dict(metrics), step]) + "\n")

    with tempfile.TemporaryDirectory() as elsewhere:
        out = Path(job["out"] if rank == 0 else elsewhere)
        function(options, inputs, out, seed=job["seed"], log=log, work=work)


@contextmanager
def joined(job: Mapping[str, Any]) -> Iterator[None]:
    """All processes know each other; each has a GPU of its own where the stage computes on GPUs."""
    import torch
    import torch.distributed as dist

    from models import policy

    torch.set_num_threads(job["threads"])
    is_gpu = policy.device(job["options"].get("device", "auto")).type == "cuda"
    if is_gpu:
        local, there = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if local >= there:
            raise UserError(
                f"each process needs a GPU of its own, and this machine has {there}: set execution.processes"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if is_gpu else "gloo", timeout=PATIENCE)
    yield
    dist.barrier()  # the first one is done writing
    dist.destroy_process_group()


@contextmanager
def said_elsewhere(folder: Path, rank: int) -> Iterator[None]:
    """The first process alone speaks to the user."""
    if rank:
        file = open(folder / f"output-{rank}.txt", "w")  # noqa: SIM115 (open until the process ends)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    yield


def end_with_parent() -> None:
    """End when the process that started this one is gone: it holds the other end of standard input."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(code)  # at once: threads that wait for a process that is gone would not let this one end
