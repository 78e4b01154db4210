"""Ratios of speed, each of two things measured in turn in one run:

    python benchmarks/speed.py                       alignment, scoring, evaluating, verifying (about a minute)
    python benchmarks/speed.py --orchestration tiny  the flow, its shards and checkpoints against the ten plain
                                                     functions, without any of them (twice a whole run)

Timings depend on the machine and on what else runs there; the ratios much less.
"""

import argparse
import importlib
import operator
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from pathlib import Path

import math_verify
import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from models import policy, tiny
from models.batch import Example
from models.logprobs import completion_logprobs
from models.policy import Decoding
from tasks.align import edit_operations
from tasks.answers import is_right
from tasks.datasets import arithmetic
from tasks.prompts import solution_completion, solve_prompt
from tasks.solve import solve


def distance_by_table(source: Sequence[int], target: Sequence[int]) -> int:
    """Levenshtein distance by a plain dynamic-programming table in Python: the thing to compare with."""
    previous = list(range(len(target) + 1))
    for i, left in enumerate(source, start=1):
        current = [i]
        for j, right in enumerate(target, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (left != right)))
        previous = current
    return previous[-1]


def pairs(count: int, length: int = 300, edited: float = 0.1) -> list[tuple[list[int], list[int]]]:
    """Random pairs of `length` token ids of which the second has about a tenth of its tokens edited."""
    draw = random.Random(0)
    made = []
    for _ in range(count):
        source = [draw.randrange(500) for _ in range(length)]
        target = [draw.randrange(500) if draw.random() < edited else token for token in source]
        made.append((source, target))
    return made


def drop(results: Iterable[object]) -> None:
    """Make results and keep none: a hundred thousand kept edits would time the garbage collector."""
    deque(results, maxlen=0)


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turn(slow: Callable[[], object], fast: Callable[[], object], rounds: int) -> tuple[float, float, list[float]]:
    """Median seconds of both, measured in turn, and the ratio of every round."""
    times = [(seconds(slow), seconds(fast)) for _ in range(rounds)]
    ratios = [first / second for first, second in times]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times), ratios


def report(name: str, ratios: list[float], detail: str) -> None:
    middle = statistics.median(ratios)
    print(f"{name}: {middle:.2f} × (rounds {min(ratios):.2f} to {max(ratios):.2f}); {detail}", flush=True)


def alignment() -> None:
    """`edit_operations` (rapidfuzz) against the plain table, in seconds a pair."""
    few, many = pairs(5), pairs(5000)
    for source, target in few:
        assert len(edit_operations(source, target)) == distance_by_table(source, target)
    slow, fast, ratios = in_turn(
        lambda: drop(starmap(distance_by_table, few)),
        lambda: drop(starmap(edit_operations, many)),
        5,
    )
    # The fast one does more pairs in a round, so that it runs long enough to be measured.
    ratios = [ratio * len(many) / len(few) for ratio in ratios]
    detail = f"{len(many) / fast:,.0f} pairs/s against {len(few) / slow:,.1f}, pairs of 300 tokens"
    report("alignment, rapidfuzz against a Python table", ratios, detail)


def generated(count: int) -> tuple[list[dict[str, object]], PreTrainedTokenizerBase, PreTrainedModel]:
    """Generated problems, and a tokenizer and a model from random weights of the size of preset `tiny`."""
    rows = [{**record, "options": None} for _, (_, record) in zip(range(count), arithmetic.rows("train"), strict=False)]
    tokenizer = tiny.train_tokenizer((str(row["question"]) + str(row["solution"]) for row in rows), 512)
    return rows, tokenizer, tiny.new_llama(tokenizer, 3, 96, 3, 288, seed=0).eval()


def scoring(batch_size: int = 16, count: int = 256) -> None:
    """Log-probabilities of samples in batches of similar length against one at a time."""
    rows, tokenizer, model = generated(count)
    examples = [
        Example(
            solve_prompt(tokenizer, str(row["question"]), None),
            solution_completion(tokenizer, str(row["solution"])),
        )
        for row in rows
    ]
    one, many = (dict(completion_logprobs(model, examples, size)) for size in (1, batch_size))
    worst = max(float((one[row] - many[row]).abs().max()) for row in one)
    assert worst < 1e-4, f"batched scores differ by {worst}"
    slow, fast, ratios = in_turn(
        lambda: list(completion_logprobs(model, examples, 1)),
        lambda: list(completion_logprobs(model, examples, batch_size)),
        5,
    )
    detail = f"{count / fast:,.0f} sequences/s against {count / slow:,.0f}; greatest difference {worst:.1e}"
    report(f"scoring, batches of {batch_size} against one at a time", ratios, detail)


def evaluating(batch_size: int = 64, count: int = 64, length: int = 60) -> None:
    """Greedy solutions and verdicts in batches against one problem at a time; from random weights none ends early."""
    rows, tokenizer, model = generated(count)

    def solutions(size: int) -> dict[int, list[int]]:
        return {done.row: done.completion_ids for done in solve(model, tokenizer, rows, Decoding(length), size)}

    one, many = solutions(1), solutions(batch_size)
    same = sum(one[row] == many[row] for row in one)
    tokens = sum(map(len, one.values()))
    slow, fast, ratios = in_turn(lambda: solutions(1), lambda: solutions(batch_size), 5)
    detail = f"{tokens / fast:,.0f} tokens/s against {tokens / slow:,.0f}; {same} of {count} completions the same"
    report(f"evaluating, batches of {batch_size} against one problem at a time", ratios, detail)


def answers(count: int) -> list[tuple[str, str]]:
    """Solutions in the style of GSM8K with a gold answer each, of which every second one is another number."""
    draw = random.Random(0)
    units = ["", " apples", " dollars per week", " miles an hour", " kg", " square feet"]
    made = []
    for place in range(count):
        value, places = draw.randrange(1, 10**7), draw.choice([0, 0, 0, 0, 2])
        gold = f"{value / 10**places:.{places}f}"
        whole, _, part = gold.partition(".")
        stated = f"{int(whole):,}" + (f".{part}" if part else "") + draw.choice(units)
        half = value // 2
        steps = f"First it is {value} - {half} = {value - half}.\nThen it is {value - half} + {half} = {value}."
        made.append((f"{steps}\nThe answer is {stated}.", gold if place % 2 else f"{int(whole) + 7}"))
    return made


def verifying() -> None:
    """`is_right` against math-verify on whole completions, each answer another number."""
    many = answers(10_000)
    few = many[:300]

    def by_math_verify(rows: Sequence[tuple[str, str]]) -> list[bool]:
        return [math_verify.verify(math_verify.parse(gold), math_verify.parse(text)) for text, gold in rows]

    def by_verifier(rows: Sequence[tuple[str, str]]) -> list[bool]:
        return [is_right(text, gold, "math") for text, gold in rows]

    assert by_verifier(many) == [place % 2 == 1 for place in range(len(many))]
    differing = sum(map(operator.ne, by_verifier(few), by_math_verify(few)))
    slow, fast, ratios = in_turn(lambda: by_math_verify(few), lambda: by_verifier(many), 5)
    # The fast one does more answers in a round, so that it runs long enough to be measured.
    ratios = [ratio * len(many) / len(few) for ratio in ratios]
    detail = (
        f"{len(many) / fast:,.0f} answers/s against {len(few) / slow:,.0f}; {differing} of {len(few)} verdicts differ"
    )
    report("verifying numbers, the verifier against math-verify", ratios, detail)


class Plainly:
    """Runs the method's stages as plain functions in a folder, each in one piece: no Prefect, no MLflow, no keys, no
    shards, no checkpoints."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.seed = root, seed

    def __call__(self, stage, options, *, label=None, seeded=True, **inputs):
        out = self.root / (label or stage)
        out.mkdir(parents=True)
        if hasattr(options, "shard_size"):
            options = options.model_copy(update={"shard_size": sys.maxsize})
        function = getattr(importlib.import_module(f"tasks.{stage}"), stage)
        function(options, {name: path for name, path in inputs.items() if path}, out, seed=self.seed)
        return {path.name.split(".")[0]: path for path in out.iterdir()}


def orchestration(preset: str, rounds: int) -> None:
    """The flow against the same stages as plain functions, the Prefect server's start apart."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["RLMEC_HOME"] = f"{scratch}/server"
        from flows.home import quieten

        quieten()
        from flows.config import load_config
        from flows.rlmec import method, rlmec
        from flows.server import prefect_server

        config = load_config(preset)
        ratios = []
        with prefect_server():
            for turn in range(rounds):
                os.environ["RLMEC_HOME"] = f"{scratch}/home{turn}"
                plainly = Plainly(Path(scratch, f"plain{turn}"), config.seed)
                flow = seconds(lambda: rlmec(config))
                plain = seconds(lambda run=plainly: method(run, config))
                ratios.append(flow / plain)
                print(f"  {preset}: flow {flow:.1f} s, plain functions {plain:.1f} s", flush=True)
        report(f"orchestration on {preset}, flow against plain functions", ratios, f"{rounds} rounds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orchestration", metavar="PRESET", help="the flow against plain functions, instead")
    parser.add_argument("--rounds", type=int, default=1, help="whole runs of each, for --orchestration")
    options = parser.parse_args()
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, device {policy.device()}, {versions}")
    if options.orchestration:
        orchestration(options.orchestration, options.rounds)
    else:
        alignment()
        scoring()
        evaluating()
        verifying()


if __name__ == "__main__":
    main()
