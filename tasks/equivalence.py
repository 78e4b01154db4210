"""Whether two mathematical expressions are equal, decided by math-verify in a process of its own.

Sympy can be made to run for ever by a short string, and neither a thread nor a signal handler stops a
long integer power. So a worker process, started on first need and kept, does the work: it dies of its own
alarm clock, from whatever thread it was asked, and the next question starts another.

    equivalent(r"\\frac{2}{4}", "1/2")      True
    equivalent("9^{9^{9^{9}}}", "1")        False, at once: towers of powers are not asked
"""

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import lru_cache
from typing import Any

MAX_LENGTH = 200  # characters of each side
SECONDS = 5  # for one question
START_SECONDS = 120  # for importing math-verify on a busy machine

# Short texts that cost sympy long: towers of powers (`9^{9^9}`, but not `x^2 + y^2`), large powers and factorials,
# long numerals.
_COSTLY = re.compile(
    r"\^\s*(?:\{[^}]*\^|\([^)]*\^|-?(?:\d+|[A-Za-z])\s*\^|\\\w+\s*\{[^}]*\}\s*\^)|\^[^()]*\)\s*\^\s*\{?\s*-?\d\d"
    r"|[)}]\s*\^\s*\{?\s*-?\d{3}|\d{40}|\^\s*\{?\s*-?\d{4}|\d{3}\s*!|!\s*!"
)
# What only a text that stands for several values, a point or an interval has: such a text equals no single value.
# (Asked whether a point equals a polynomial, sympy thinks for minutes.)
_SEVERAL = re.compile(r",|[<>]|\\(?:l|g|n)eq?\b|\\(?:lt|gt|pm|mp|cup|cap|in|notin|begin|mathbb)\b|\b(?:or|and)\b")
_THOUSANDS = re.compile(r"(?<![\d(\[{,])\d{1,3}(?:,\d{3})+(?![\d,)\]}])")

_lock = threading.Lock()
_worker: "subprocess.Popen[str] | None" = None
_owner = 0  # the process that started the worker: a forked child must not share its pipes


@lru_cache(maxsize=65536)
def equivalent(gold: str, predicted: str) -> bool:
    """Whether math-verify finds the two expressions equal, either way round (it is asymmetric on intervals).

    False where it cannot tell, where either side is longer than `MAX_LENGTH`, where it needs more than `SECONDS`,
    and without asking between several values and one. A worker that dies sooner than that is replaced, and the
    new one asked the same. Raises RuntimeError only if math-verify itself cannot be started.
    """
    if any(len(side) > MAX_LENGTH or _COSTLY.search(side) for side in (gold, predicted)):
        return False
    if _has_several(gold) != _has_several(predicted):
        return False
    with _lock:
        started = time.monotonic()
        answer = _ask(_running_worker(), [gold, predicted])
        if not answer and time.monotonic() - started < SECONDS:  # it did not die of the question
            answer = _ask(_running_worker(), [gold, predicted])
        return answer == "True"


def _has_several(text: str) -> bool:
    """Whether a formula stands for several values, a point or an interval (or compares values)."""
    return _SEVERAL.search(_THOUSANDS.sub("0", text)) is not None


def _ask(worker: "subprocess.Popen[str]", question: list[str]) -> str:
    """One line to the worker and its answer; empty if the worker died over it."""
    assert worker.stdin
    assert worker.stdout
    timer = threading.Timer(SECONDS + 1, worker.kill)  # where there is no alarm clock (Windows)
    timer.start()
    try:
        worker.stdin.write(json.dumps(question) + "\n")
        worker.stdin.flush()
        answer = worker.stdout.readline().strip()
    except OSError:
        answer = ""
    finally:
        timer.cancel()
    if not answer:
        worker.kill()
        worker.wait()  # so that the next question sees that it is gone
    return answer


def _running_worker() -> "subprocess.Popen[str]":
    """The worker of this process, started anew if there is none or it has died."""
    global _worker, _owner
    if _worker is not None and _owner == os.getpid() and _worker.poll() is None:
        return _worker
    # -P: the folder of this file must not come before the packages that math-verify imports.
    command = [sys.executable, "-P", __file__]
    pipe = subprocess.PIPE
    worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
    assert worker.stdout
    timer = threading.Timer(START_SECONDS, worker.kill)
    timer.start()
    ready = worker.stdout.readline().strip()
    timer.cancel()
    if ready != "ready":
        worker.kill()
        raise RuntimeError("math-verify could not be started: try `python -c 'import math_verify'`")
    if _owner != os.getpid():
        atexit.register(_stop)
    _worker, _owner = worker, os.getpid()
    return worker


def _renew_lock() -> None:
    """In a forked child: another thread of the parent may have held the lock, and no one would release it here."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _stop() -> None:
    """End this process's worker."""
    if _worker is not None and _owner == os.getpid():
        _worker.kill()
        _worker.wait()


def _serve() -> None:
    """The worker: a JSON pair of expressions a line in, `True` or `False` a line out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    import math_verify

    print("ready", flush=True)
    for line in sys.stdin:
        if hasattr(signal, "alarm"):
            signal.alarm(SECONDS)  # no handler: the alarm ends the process even inside one long C call
        verdict = _verify(math_verify, *json.loads(line))
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        print(verdict, flush=True)


def _verify(math_verify: Any, gold: str, predicted: str) -> bool:
    """math-verify's verdict without its own timeouts; what it cannot parse or compare is not equal."""
    config = [math_verify.LatexExtractionConfig()]
    try:
        sides = [
            math_verify.parse(f"${side}$", config, fallback_mode="no_fallback", parsing_timeout=None)
            for side in (gold, predicted)
        ]
        # float_rounding: its default 6 would take 1.414214 for the square root of 2.
        options = {"float_rounding": 15, "allow_set_relation_comp": True, "timeout_seconds": None}
        return all(sides) and any(math_verify.verify(*pair, **options) for pair in (sides, sides[::-1]))
    except (Exception, RecursionError):  # noqa: BLE001  (a parser of arbitrary text raises anything)
        return False


if __name__ == "__main__":
    _serve()
