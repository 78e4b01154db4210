"""Runs that are killed at random moments end as if they had not been: the short form of benchmarks/survival.py."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "survival.py"


def trial(*words):
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_five_kills_change_no_digest_and_no_accuracy_and_repeat_one_shard_or_interval_at_most():
    first, *kills = trial("kills", "--times", "5", "--jobs", "2", "--seed", "1")
    assert "an uninterrupted run takes" in first
    assert len(kills) == 5
    assert all("the same; repeated" in line for line in kills)
