"""How every benchmark here measures: two things in turn in one process, after a warm-up of both, for at least five
rounds; the ratio of every round, its median and its spread; and whether a target was met.

    ours, theirs = Side("RLMEC", step, tokens), Side("TRL", their_step, tokens)
    table = Table("Policy step", "tokens/s", "TRL", options)
    table.add("pairs, tiny", in_turn(ours, theirs, options.rounds, options.at), target=1.3, same="loss to 1e-7")
    print(table.markdown())

Seconds depend on the machine and on what else runs there, ratios much less. A ratio is how many times as fast the first
side is. Memory is measured in a process of its own for each side (`alone`). This module imports torch alone, so that it
runs where there is nothing else.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

ROUNDS = 5
MEBIBYTE = 2**20
LIBRARIES = ("torch", "transformers", "trl", "rapidfuzz", "prefect", "mlflow")


@dataclass(frozen=True)
class Side:
    """What does `work` units in one call of `act`."""

    name: str
    act: Callable[[], object]
    work: float


@dataclass(frozen=True)
class Rates:
    """Units a second of both sides in each round, and the ratio of each round."""

    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        return [one / other for one, other in zip(self.ours, self.theirs, strict=True)]


def settle(at: torch.device) -> None:
    """Wait until the device has done what it was told to."""
    if at.type == "cuda":
        torch.cuda.synchronize(at)


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = "wall"
NO = "no, by"


def seconds(action: Callable[[], object], at: torch.device | None = None) -> float:
    """How long an action takes, to the end of what it started on the device."""
    at, now = at or torch.device("cpu"), CLOCKS[clock]
    settle(at)
    started = now()
    action()
    settle(at)
    return now() - started


def in_turn(ours: Side, theirs: Side, rounds: int, at: torch.device | None = None) -> Rates:
    """Both sides once to warm up, then in turn; who comes first changes from round to round."""
    ours.act(), theirs.act()
    rates: dict[str, list[float]] = {ours.name: [], theirs.name: []}
    for number in range(rounds):
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            rates[side.name].append(side.work / seconds(side.act, at))
    return Rates(rates[ours.name], rates[theirs.name])


def alone(script: str, *words: str) -> Any:
    """What `script` with these words prints as the last line of its output, as JSON, in a process of its own."""
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{Path(script).name} {' '.join(words)}: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def growth(at: torch.device) -> Iterator[dict[str, float]]:
    """How much memory the block takes at its peak beyond what was held before it: `peak`, in MiB, afterwards.

    On a CPU this is the process's resident memory, so the block must be the first that takes much.
    """
    found: dict[str, float] = {}
    if at.type == "cuda":
        torch.cuda.reset_peak_memory_stats(at)
        before: float = torch.cuda.memory_allocated(at)
        yield found
        found["peak"] = (torch.cuda.max_memory_allocated(at) - before) / MEBIBYTE
    else:
        reset_peak()
        before = peak()
        yield found
        found["peak"] = peak() - before


def reset_peak() -> None:
    """Let the peak start from what is held now, where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak() -> float:
    """The most memory that this process has held, in MiB."""
    import resource

    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / MEBIBYTE
    except (OSError, StopIteration):
        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / MEBIBYTE


def where(act: Callable[[], object], at: torch.device, most: int = 6) -> str:
    """Where the time of an action goes, by torch's profiler: the operations that take most, and Python's own share."""
    from torch.profiler import ProfilerActivity, profile

    on_cpu = at.type == "cpu"
    with profile(activities=[ProfilerActivity.CPU if on_cpu else ProfilerActivity.CUDA]) as profiled:
        took = seconds(act, at) * 1e6
    shares: dict[str, float] = {}
    for event in profiled.key_averages():
        own = event.self_cpu_time_total if on_cpu else event.self_device_time_total
        shares[event.key.removeprefix("aten::")] = 100 * own / took
    first = sorted(shares, key=shares.__getitem__, reverse=True)[:most]
    rest = max(0.0, 100 - sum(shares.values()))
    return ", ".join([*(f"`{name[:48]}` {shares[name]:.0f} %" for name in first), f"outside operations {rest:.0f} %"])


def number(value: float) -> str:
    """Three digits: 1234.5 is 1,230 and 0.01234 is 0.0123."""
    if value == 0 or value >= 100_000:
        return f"{value:,.0f}"
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:.3g}"


def spread(values: Sequence[float], unit: str = "") -> str:
    """The median, and from where to where."""
    middle = f"{number(statistics.median(values))}{unit}"
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} to {number(max(values))})"


def verdict(value: float, target: float, at_most: bool = False) -> str:
    """Whether a target was met, and by how much it was missed."""
    if value <= target if at_most else value >= target:
        return "yes"
    missed = (value / target - 1 if at_most else 1 - value / target) * 100
    return f"{NO} {number(missed)} %"


@cache
def machine() -> str:
    """The machine, what else it is busy with, and the versions that matter."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    load = f", load {os.getloadavg()[0]:.1f} before it began" if hasattr(os, "getloadavg") else ""
    versions = ", ".join(f"{library} {found}" for library in LIBRARIES if (found := version(library)))
    accelerator = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"{name}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads{accelerator}{load}; "
        f"Python {platform.python_version()}, {versions}"
    )


def version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


@dataclass
class Table:
    """A section of docs/benchmarks.md: what was measured, on what, and a table. missed: what to say below it where a
    target was missed."""

    title: str
    about: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missed: str = ""

    def add(self, *cells: object) -> None:
        self.rows.append([str(cell) for cell in cells])
        print("  " + " | ".join(self.rows[-1]), file=sys.stderr, flush=True)

    def markdown(self) -> str:
        rows = [self.columns, ["---"] * len(self.columns), *self.rows]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        is_missed = any(cell.startswith(NO) for row in self.rows for cell in row)
        missed = [self.missed.replace("\n", " ")] if self.missed and is_missed else []
        parts = [f"## {self.title}", self.about, "\n".join(lines), *self.notes, *missed]
        return "\n\n".join(parts) + "\n"


def compared(name: str, rates: Rates, target: float | None, same: str) -> tuple[str, ...]:
    """A row of a table whose columns are what, ours, theirs, ratio, target, met, the same."""
    ratio = statistics.median(rates.ratios)
    met = ("", "") if target is None else (f"{target:g} ×", verdict(ratio, target))
    return (name, spread(rates.ours), spread(rates.theirs), spread(rates.ratios, " ×"), *met, same)


def columns(unit: str, theirs: str) -> tuple[str, ...]:
    """Those of `compared`."""
    return ("", f"RLMEC, {unit}", f"{theirs}, {unit}", "ratio", "target", "met", "agreement")


def parser(about: str | None, models: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The options that benchmarks share. models: those to measure, where there is a choice."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each measurement (default: {ROUNDS})")
    made.add_argument("--small", action="store_true", help="as little as shows that the script works: no benchmark")
    made.add_argument(
        "--clock", choices=list(CLOCKS), default="wall",
        help="cpu: processor seconds of this process, for a machine that is busy (default: wall)",
    )  # fmt: skip
    if models:
        made.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")
        made.add_argument(
            "--models", nargs="+", choices=("tiny", "10m", "1b"), default=list(models),
            help=f"by their size (default: {' '.join(models)})",
        )  # fmt: skip
    return made


def parsed_by(made: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, of which `--small` and `--clock` are obeyed here."""
    global clock
    options = made.parse_args()
    clock = options.clock
    if options.small:
        options.rounds = 1
        if "models" in options:
            options.models = options.models[:1]
    return options


def command(script: str, options: argparse.Namespace) -> str:
    """What to type for the same measurement again."""
    words = [f"python benchmarks/{Path(script).name}"]
    if "models" in options:
        words += ["--models", *options.models, "--device", str(options.device)]
    words += ["--clock", options.clock] if options.clock != "wall" else []
    return " ".join([*words, "--rounds", str(options.rounds)])
