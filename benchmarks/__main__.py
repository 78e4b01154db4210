"""All benchmarks that need a CPU and nothing else, one after the other, within 20 minutes on two cores:

    python benchmarks                              prints every table
    python benchmarks --write docs/benchmarks.md   writes them, which is `make bench`
    python benchmarks scoring sampling             some of them

The others stand alone: `overlap.py` and `teacher.py` read published data, `scale.py` makes a million samples,
`survival.py` kills runs for half an hour, and `planning.py` measures nothing.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Each by its script's name, the longest last.
SUBJECTS = ("alignment", "verifying", "scoring", "policy_step", "sampling", "memory", "gpu", "whole")
PAGE = """# Benchmarks

    make bench

writes this page; nothing in it is written by hand. Each section names its command. A ratio is of two things that are
measured in turn in one process, after a warm-up of both: the median over the rounds, and from where to where. Seconds
and rates depend on the machine and on what else runs there, ratios much less.

{sections}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)} (default: all)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page to write")
    parser.add_argument("--small", action="store_true", help="as little as shows that every script works")
    options = parser.parse_args()
    if unknown := set(options.subjects) - set(SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    sections = []
    for subject in options.subjects or SUBJECTS:
        started = time.monotonic()
        command = [sys.executable, str(HERE / f"{subject}.py"), *(["--small"] if options.small else [])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{subject} failed")
        sections.append(done.stdout)
        print(done.stdout, flush=True)
        print(f"{subject}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if options.write:
        options.write.write_text(PAGE.format(sections="\n".join(sections).rstrip() + "\n"), encoding="utf-8")


if __name__ == "__main__":
    main()
