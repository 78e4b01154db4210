"""How long the user waits: `rlmec run tiny`, the same again when all of it is in the store, and `rlmec --help`; and
what of it is orchestration.

    python benchmarks/whole.py                       a whole run (seven minutes)
    python benchmarks/whole.py --orchestration       and its stages as plain functions (as long again)
    python benchmarks/whole.py --preset smoke --runs 5

Every command is a process of its own with a store of its own, and all its time counts, with Python's start and that of
Prefect's server. Orchestration is what the flow (from its start, when the server is up, to its summary) takes longer
than the same stages as plain functions in as many threads (`plainly.py`); each stage must write the same bytes in both.
The time outside stages is the flow's time in which no stage was at work, a part of that.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measure import Table, alone, machine, parsed_by, parser, spread, verdict

from flows.home import environment_of

RUN, REUSED, HELP, SHARE = 240.0, 8.0, 0.5, 3.0  # seconds, and percent
MISSED = """\
What would have to change: three training runs are most of `tiny`, and matrix products and attention most of those
(`policy_step.py` has the profile), near what the cores can do in fp32. It would take fewer or shorter examples to learn
the same, or more cores."""
RLMEC = (sys.executable, "-m", "flows.cli")


def command(home: Path, *words: str) -> tuple[float, str]:
    """Seconds of an `rlmec` command, and its standard output."""
    started = time.perf_counter()
    done = subprocess.run([*RLMEC, *words], env=environment_of(home), capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"rlmec {' '.join(words)}: {done.stderr.strip()[-800:]}")
    return took, done.stdout


def plainly(preset: str) -> None:
    """Print, as JSON, the seconds of the preset's stages as plain functions, and each one's digest."""
    from plainly import Plainly

    from flows.config import load_config
    from flows.digests import manifest_of, stage_digest
    from flows.rlmec import method

    config = load_config(preset)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()  # a flow's summary does not count imports either
        method(Plainly(Path(folder), config.seed, config.execution.at_once), config)
        took = time.perf_counter() - started
        digests = {out.name: stage_digest(manifest_of(out)) for out in Path(folder).iterdir()}
    print(json.dumps({"seconds": took, "digests": digests}))


def differing(summary: Mapping[str, Any], digests: Mapping[str, str]) -> list[str]:
    """The stages that wrote something else in the flow than as plain functions."""
    return [stage["name"] for stage in summary["stages"] if digests[stage["name"]] != stage["digest"]]


def add(table: Table, what: str, values: list[float], unit: str, target: float | None, middle: float) -> None:
    goal = ("", "") if target is None else (f"{target:g} {unit} at most", verdict(middle, target, at_most=True))
    table.add(what, f"{spread(values)} {unit}", *goal)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--preset", default="tiny")
    made.add_argument("--runs", type=int, default=1, help="whole runs of each (default: 1)")
    made.add_argument("--orchestration", action="store_true", help="against the same stages as plain functions, too")
    made.add_argument("--plainly", metavar="PRESET", help=argparse.SUPPRESS)
    options = parsed_by(made)
    if options.plainly:
        plainly(options.plainly)
        return
    preset = "smoke" if options.small else options.preset
    also = " --orchestration" if options.orchestration else ""
    about = f"`python benchmarks/whole.py --preset {preset} --runs {options.runs}{also}`, on {machine()}."
    table = Table("The whole", about, ("", "median", "target", "met"), missed=MISSED)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        measure(table, preset, Path(scratch), options)
    print(table.markdown())


def measure(table: Table, preset: str, scratch: Path, options: argparse.Namespace) -> None:
    help_seconds = [command(scratch / "help", "--help")[0] for _ in range(options.rounds + 1)][1:]
    add(table, "`rlmec --help`", help_seconds, "s", HELP, statistics.median(help_seconds))
    whole, flows, plains, outside = [], [], [], []
    for turn in range(options.runs):
        took, said = command(scratch / f"home{turn}", "run", preset, "--json")
        summary = json.loads(said)
        whole.append(took), flows.append(summary["seconds"])
        outside.append(summary["seconds"] - sum(stage["seconds"] for stage in summary["stages"]))
        if options.orchestration:
            plain = alone(__file__, "--plainly", preset)
            if names := differing(summary, plain["digests"]):
                raise SystemExit(f"the flow and the plain functions do not write the same: {', '.join(names)}")
            plains.append(plain["seconds"])
    add(table, f"`rlmec run {preset}`", whole, "s", RUN if preset == "tiny" else None, statistics.median(whole))
    again = [command(scratch / "home0", "run", preset, "--json")[0] for _ in range(options.rounds)]
    add(table, f"`rlmec run {preset}` again, all reused", again, "s", REUSED, statistics.median(again))
    if plains:
        shares = [100 * (flow / plain - 1) for flow, plain in zip(flows, plains, strict=True)]
        add(table, "orchestration, of the plain functions' time", shares, "%", SHARE, statistics.median(shares))
        table.notes.append(f"The plain functions took {spread(plains)} s, and each stage wrote the same bytes.")
    table.notes.append(f"The flow took {spread(flows)} s, of which outside stages {spread(outside)} s.")


if __name__ == "__main__":
    main()
