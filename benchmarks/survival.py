"""Does a run that was interrupted end as if it had not been? Each trial interrupts `rlmec run smoke`, runs it again
to the end, and compares every artifact digest and every accuracy with an uninterrupted run's.

    python benchmarks/survival.py kills --times 30    SIGKILL at random moments, and the work repeated after it
    python benchmarks/survival.py signals             Ctrl-C and SIGTERM: a tidy end within 10 seconds
    python benchmarks/survival.py disk                a disk that fills up in the middle of a stage (needs root)
    python benchmarks/survival.py server              a remote MLflow store that is gone for 20 seconds
    python benchmarks/survival.py two                 two pipelines at once on one store

It prints a line a trial, and ends with code 1 if one failed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from flows.home import environment_of

HERE = Path(__file__).resolve()
PRESET = "smoke"
TIDY_SECONDS = 10.0
SERVER_GONE_SECONDS = 20.0


class Home:
    """A store of its own, and runs of the preset in it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.counted = folder, folder.with_name(f"{folder.name}.counted")
        self.environment = environment_of(folder, **environment)

    def start(self) -> "subprocess.Popen[str]":
        """Start a run whose shards and updates are counted."""
        command = [sys.executable, str(HERE), "--count", str(self.counted), "run", PRESET, "--json"]
        self.started = time.monotonic()
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, run: "subprocess.Popen[str] | None" = None) -> dict[str, Any]:
        """Wait for a run, or make one to the end, and return its summary."""
        run = run or self.start()
        out, said = run.communicate()
        self.seconds = time.monotonic() - self.started
        if run.returncode != 0:
            raise AssertionError(f"exit code {run.returncode}: {said.strip()[-800:]}")
        return dict(json.loads(out))

    def work(self) -> Counter[str]:
        """How often each shard and each update was begun, over all runs here."""
        return Counter(self.counted.read_text().split("\n")[:-1]) if self.counted.exists() else Counter()

    def running(self) -> list[str]:
        """The names of MLflow runs that are marked RUNNING."""
        where = "attributes.status = 'RUNNING'"
        program = f"from flows.store import open_store as o; print(*[r.info.run_name for r in o().search({where!r})])"
        done = subprocess.run(
            [sys.executable, "-c", program], env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def processes(self) -> list[str]:
        """The commands of processes that still work on this store."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("RLMEC_HOME") == str(self.folder):
                    found.append(" ".join(process.cmdline())[:100])
            except psutil.Error:
                continue
        return found


def results(summary: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on interruptions: every digest and every accuracy."""
    return {"accuracy": summary["accuracy"], **{stage["name"]: stage["digest"] for stage in summary["stages"]}}


def check_same(expected: dict[str, Any], summary: dict[str, Any]) -> None:
    """AssertionError names the stages whose results differ."""
    found = results(summary)
    differing = [name for name in expected if found.get(name) != expected[name]]
    assert not differing, f"other results of {', '.join(differing)}"


def check_clean(home: Home) -> None:
    """AssertionError where a run is still marked RUNNING or a process is left."""
    assert not (running := home.running()), f"still RUNNING: {running}"
    assert not (left := home.processes()), f"left behind: {left}"


def repeated(home: Home, whole: Counter[str]) -> tuple[int, int]:
    """How many shards and updates were begun more often than in the uninterrupted run."""
    more = home.work() - whole
    updates = sum(count for name, count in more.items() if name.startswith("update"))
    return sum(more.values()) - updates, updates


def kills(scratch: Path, times: int, jobs: int, seed: int) -> Iterator[str]:
    """SIGKILL at moments uniform over a run, `jobs` trials at a time."""
    # Threads that wait for a core spin, so jobs that share cores would take several times as long.
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
    homes = [Home(scratch / f"whole{number}", **threads) for number in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        expected, *others = [results(summary) for summary in pool.map(Home.finish, homes)]
        assert all(other == expected for other in others), "two uninterrupted runs differ"
        length, work, interval = max(home.seconds for home in homes), homes[0].work(), checkpoint_every()
        yield f"an uninterrupted run takes {length:.1f} s: {sum(work.values())} shards and updates"
        draw = random.Random(seed)
        moments = [draw.uniform(0, length) for _ in range(times)]
        trials = [Home(scratch / f"kill{number}", **threads) for number in range(times)]
        repeats = pool.map(lambda home, moment: killed(home, moment, expected, work), trials, moments)
        for moment, (shards, updates) in zip(moments, repeats, strict=True):
            assert shards <= 1, f"killed after {moment:.1f} s: {shards} shards were made twice"
            assert updates <= interval, f"killed after {moment:.1f} s: {updates} updates were made twice"
            yield f"killed after {moment:.1f} s: the same; repeated {shards} shards and {updates} updates"


def killed(home: Home, moment: float, expected: dict[str, Any], work: Counter[str]) -> tuple[int, int]:
    """Kill a run, make another to the end, check that it left all as it should be; return what was repeated."""
    run = home.start()
    time.sleep(moment)
    run.kill()
    run.communicate()
    check_same(expected, home.finish())
    check_clean(home)
    return repeated(home, work)


def checkpoint_every() -> int:
    from flows.config import load_config

    return load_config(PRESET).execution.checkpoint_every


def signals(scratch: Path, times: int, jobs: int, seed: int) -> Iterator[str]:
    """Ctrl-C and SIGTERM: a tidy end."""
    whole = Home(scratch / "whole")
    expected = results(whole.finish())
    draw = random.Random(seed)
    for number in range(times):
        for kind, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            home = Home(scratch / f"{kind.name}{number}")
            run = home.start()
            moment = draw.uniform(0.2, 0.9) * whole.seconds
            time.sleep(moment)
            sent = time.monotonic()
            run.send_signal(kind)
            run.communicate()
            took = time.monotonic() - sent
            assert run.returncode == code, f"{kind.name}: exit code {run.returncode}"
            assert took < TIDY_SECONDS, f"{kind.name}: it took {took:.1f} s to end"
            check_clean(home)
            check_same(expected, home.finish())
            yield f"{kind.name} after {moment:.1f} s: code {code} in {took:.1f} s, nothing left, then the same"


def disk(scratch: Path, times: int, jobs: int, seed: int) -> Iterator[str]:
    """A disk that fills up in the middle of stage `sample`."""
    expected = results(Home(scratch / "whole").finish())
    place = scratch / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", str(place)], check=True)
    try:
        home = Home(place / "home")
        run = home.start()
        said = []
        for line in run.stderr or ():
            said.append(line)
            if line.startswith("sample"):
                break
        filler = place / "filler"
        fill(filler)
        said.append(run.communicate()[1])
        code, last = run.returncode, "".join(said).strip().splitlines()[-1]
        assert code == 1, f"exit code {code}: {last}"
        assert "is full: make room" in last, last
        filler.unlink()
        check_same(expected, home.finish())
        check_clean(home)
        yield f"disk full in `sample`: code 1, “{last}”; with room again, the same"
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass


def server(scratch: Path, times: int, jobs: int, seed: int) -> Iterator[str]:
    """An MLflow server that is gone for 20 seconds in the middle of a run."""
    expected = results(Home(scratch / "whole").finish())
    from flows.server import reserved_port

    with reserved_port() as port:
        home = Home(scratch / "home", MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
        with remote_store(scratch, port):
            run = home.start()
            for line in run.stderr or ():
                if line.startswith("sample"):
                    break
        gone = time.monotonic()
        time.sleep(SERVER_GONE_SECONDS)
        with remote_store(scratch, port):
            away = time.monotonic() - gone
            check_same(expected, home.finish(run))
            check_clean(home)
    yield f"the MLflow server was gone for {away:.0f} s: the same"


@contextmanager
def remote_store(scratch: Path, port: int) -> Iterator[None]:
    """An MLflow server with a store of its own, until the end of the block."""
    from flows.ui import is_taken, mlflow_server

    folder = scratch / "server"
    folder.mkdir(exist_ok=True)
    uri, artifacts = f"sqlite:///{folder}/mlflow.db", ["--artifacts-destination", str(folder / "artifacts")]
    with (scratch / "server.log").open("ab") as said, mlflow_server(port, uri, artifacts, said) as process:
        while not is_taken(port):
            assert process.poll() is None, "the MLflow server did not start"
            time.sleep(0.2)
        yield


def two(scratch: Path, times: int, jobs: int, seed: int) -> Iterator[str]:
    """Two pipelines started at once on one store."""
    expected = results(Home(scratch / "whole").finish())
    home = Home(scratch / "home")
    for run in [home.start(), home.start()]:
        check_same(expected, home.finish(run))
    check_clean(home)
    yield "two at once: both the same"


def counted(path: str, arguments: list[str]) -> int:
    """The `rlmec` command, writing down each shard and each update as it is begun."""
    import flows.cli
    import models.loop
    import tasks.work

    make, backward, rehearse = tasks.work.commit_shard, models.loop.backward, models.loop.rehearse
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def counted_shard(*given: Any) -> Any:
        os.write(file, f"shard of {given[2]} in {given[1].name[:8]}, rows {given[-1].first}\n".encode())
        return make(*given)

    def counted_backward(*given: Any) -> Any:
        os.write(file, b"update\n")
        return backward(*given)

    def uncounted_rehearsal(*given: Any) -> None:
        """The longest example is read at every start, also of a run that goes on: that is no update."""
        models.loop.backward = backward
        rehearse(*given)
        models.loop.backward = counted_backward

    tasks.work.commit_shard, models.loop.backward = counted_shard, counted_backward
    models.loop.rehearse = uncounted_rehearsal
    return flows.cli.main(arguments)


TRIALS = {"kills": kills, "signals": signals, "disk": disk, "server": server, "two": two}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trial", choices=list(TRIALS))
    parser.add_argument("--times", type=int, default=1, help="how many interruptions, for kills and signals")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time, for kills")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        try:
            for line in TRIALS[options.trial](Path(scratch).resolve(), options.times, options.jobs, options.seed):
                print(line, flush=True)
        except AssertionError as error:
            print(f"FAILED: {error}")
            return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--count"]:
        sys.exit(counted(sys.argv[2], sys.argv[3:]))
    sys.exit(main())
