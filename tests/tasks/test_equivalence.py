r"""math-verify in its worker process: from threads, from forked and spawned processes, and when the worker dies.

equivalent(r"\sqrt{75}", r"5\sqrt{3}")     True: 75 = 25 * 3
"""

import ast
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

import tasks
from tasks import equivalence
from tasks.answers import is_right
from tasks.equivalence import equivalent

needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")


def roots(numbers) -> list[tuple[str, str, bool]]:
    """Questions that no one has asked yet: is sqrt(4n) twice sqrt(n), is it twice sqrt(n + 1)?"""
    return [(rf"\sqrt{{{4 * n}}}", rf"2\sqrt{{{n + lie}}}", not lie) for n in numbers for lie in (0, 1)]


@pytest.fixture(autouse=True)
def worker():
    """A worker that runs, and nothing remembered of earlier questions."""
    equivalent.cache_clear()
    assert equivalent(r"\sqrt{12}", r"2\sqrt{3}")
    return equivalence._worker


def test_a_dead_worker_is_replaced(worker):
    worker.kill()
    assert not equivalent(r"\sqrt{75}", r"6\sqrt{3}")
    assert equivalent(r"\sqrt{75}", r"5\sqrt{3}")  # 75 = 25 * 3
    assert equivalence._worker.pid != worker.pid


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals to stop a process")
def test_a_worker_that_dies_in_mid_answer_is_asked_for_nothing_more_and_a_new_one_answers(worker):
    os.kill(worker.pid, signal.SIGSTOP)  # it takes the question and never answers
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(equivalent, r"\sqrt{98}", r"7\sqrt{2}")  # 98 = 49 * 2
        time.sleep(0.3)
        assert not answer.done()
        worker.kill()
        assert answer.result(timeout=equivalence.START_SECONDS)
    assert equivalence._worker.pid != worker.pid


def test_a_question_has_its_time_and_the_next_one_is_answered(worker):
    started = time.monotonic()
    assert not equivalent(r"\binom{9999999}{4999999}", r"x+\pi")  # seven million bits, half a minute
    assert equivalence.SECONDS - 1 < time.monotonic() - started < equivalence.SECONDS + 5
    assert equivalent(r"\sqrt{20}", r"2\sqrt{5}")


def test_many_threads_share_one_worker_and_each_gets_its_own_answer(worker):
    questions = roots(range(5, 29))
    with ThreadPoolExecutor(16) as pool:
        verdicts = list(pool.map(lambda question: equivalent(*question[:2]), questions))
    assert verdicts == [verdict for *_, verdict in questions]
    assert equivalence._worker is worker


def test_the_verifier_works_outside_the_main_thread():
    verdicts = []
    thread = threading.Thread(target=lambda: verdicts.append(is_right(r"\boxed{\sqrt{50}}", r"5\sqrt{2}", "math")))
    thread.start()
    thread.join(timeout=equivalence.START_SECONDS)
    assert verdicts == [True]


@pytest.mark.parametrize("method", [pytest.param("fork", marks=needs_fork), "spawn"])
def test_worker_processes_judge_as_their_parent_does(method, worker):
    questions = roots((31, 33, 34))
    texts = [rf"Thus \boxed{{{left}}}." for left, *_ in questions]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        futures = [
            pool.submit(is_right, text, right, "math") for text, (_, right, _) in zip(texts, questions, strict=True)
        ]
        assert [future.result(timeout=300) for future in futures] == [verdict for *_, verdict in questions]
    assert equivalent(r"\sqrt{140}", r"2\sqrt{35}")
    assert equivalence._worker is worker  # the children left it alone


@needs_fork
def test_a_forked_child_starts_a_worker_of_its_own_even_where_a_thread_held_the_lock(worker):
    parent, child = multiprocessing.get_context("fork").Pipe()

    def ask() -> None:
        child.send((equivalent(r"\sqrt{148}", r"2\sqrt{37}"), equivalence._worker.pid))

    with equivalence._lock:  # as a thread does that waits for an answer while another one forks
        process = multiprocessing.get_context("fork").Process(target=ask, daemon=True)
        process.start()
    assert parent.poll(300), "the child never answered"
    verdict, pid = parent.recv()
    process.join(30)  # its exit code may be another's affair: a child inherits what all tests before have set up
    assert verdict is True
    assert not process.is_alive()
    assert pid != worker.pid
    assert equivalence._worker is worker
    assert worker.poll() is None


def test_no_answer_is_run_as_code(tmp_path):
    trap = tmp_path / "trap"
    code = f"__import__('pathlib').Path('{trap}').touch()"
    for answer in (
        code,
        rf"\text{{{code}}}",
        rf"\sqrt{{{code}}}",
        f"x = {code}",
        f"({code}, 1)",
        f"{{{code}}}",
        f"5 + {code}",
    ):
        for lead in ("The answer is {}", "#### {}", r"\boxed{{{}}}", "${}$", "`{}`"):
            assert not is_right(lead.format(answer), r"\sqrt{7}", "math")
            assert not is_right(r"\boxed{\sqrt{7}}", lead.format(answer), "math")
            assert not is_right(lead.format(answer), "rain", "choice", [code, "rain"])
        equivalent(answer, r"\sqrt{7}")
    assert not trap.exists()


def test_no_source_of_the_verifier_calls_what_runs_text():
    runners = {"eval", "exec", "compile", "__import__", "sympify", "parse_expr"}
    for name in ("answers", "colons", "equivalence", "formulas", "notation", "plain_number", "statements", "verify"):
        tree = ast.parse(Path(tasks.__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
        called = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & runners, name
