"""A run and a comparison as their stages would leave them in a store, made in a second without any model: 560 samples,
some of them with texts that mean harm, and 40 benchmark problems.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from flows.metrics import MetricLog
from flows.page.comparison import comparison_page
from flows.page.run import run_files
from flows.store import Store
from models import tiny
from tasks.records import table, write_table

MARKUP = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script></script><!-- <b>{{ 7*7 }}'
BACKWARDS = "\u202etxet neddih\u200b\u2066"
LONG = "a" * 10_000
HOSTILE = (MARKUP, BACKWARDS, LONG)
SAMPLES, ASKED = 560, 40


def text_of(number: int) -> str:
    """A completion; the first of them mean harm."""
    harm = f"{HOSTILE[number // 2]}\n" if number < 2 * len(HOSTILE) else ""
    return f"{harm}Tom has {number}+5={number + 5} apples.\nThe answer is {number + 5}."


def problems(count: int, source: str) -> pl.DataFrame:
    return table("problems", [
        {"problem_id": f"{number:016x}",
         "question": f"Question {number}: how many apples? {MARKUP if number < 2 else ''}",
         "solution": f"It is {number + 5}.", "answer": str(number + 5), "source": source, "split": "train"}
        for number in range(count)
    ])  # fmt: skip


class Made:
    """Writes stages into a store."""

    def __init__(self, store: Store, parent: str, folder: Path) -> None:
        self.store, self.parent, self.folder = store, parent, folder
        self.runs: dict[str, object] = {}

    def stage(self, label, metrics=(), frames=(), tokenizer=None, curve=(), inputs=()):
        """One finished stage with tables {file: (schema, frame)}, and with a model's folder if it has a tokenizer."""
        read = {f"rlmec.input.{name}": self.runs[name].run_id for name in inputs}
        tags = {"rlmec.kind": "stage", "rlmec.stage": label.split("-")[0], "rlmec.key": label, **read}
        run = self.store.start(label, tags, self.parent)
        log = MetricLog(self.store.client, run.info.run_id)
        log(dict(metrics))
        for step, loss in enumerate(curve):
            log({"loss": loss}, step)
        log.flush()
        out = self.folder / self.parent / label
        out.mkdir(parents=True)
        for name, (schema, frame) in dict(frames).items():
            write_table(frame, schema, out / f"{name}.parquet") if schema else frame.write_parquet(
                out / f"{name}.parquet"
            )
        if tokenizer is not None:
            tokenizer.save_pretrained(out / "model")
        self.runs[label] = self.store.commit(run, out, 12.0)
        self.store.tag(self.parent, {f"rlmec.stage.{label}": run.info.run_id})
        return self.runs[label]

    def summary(self, **heading):
        """summary.json as flows/summary.py writes it."""
        rate = {"right": 20, "total": ASKED, "rate": 0.5, "low": 0.35, "high": 0.65}
        sides = {side: rate for side in ("before", "after") if f"evaluate-{side}" in self.runs}
        stages = [{"name": label, "run_id": run.run_id, "key": label, "digest": run.digest,
                   "reused": label == "prepare",
                   "seconds": run.seconds} for label, run in self.runs.items()]  # fmt: skip
        return {
            **heading,
            "accuracy": {"test": sides} if sides else {},
            "stages": stages,
            "seconds": 99.0,
            "warnings": [],
        }


@pytest.fixture(scope="session")
def bytes_tokenizer():
    """A tokenizer of single bytes and few merges, so that characters are spread over tokens."""
    return tiny.train_tokenizer(["Tom has apples. The answer is 5."], 280)


@pytest.fixture(scope="session")
def store(empty_database, tmp_path_factory) -> Store:
    home = tmp_path_factory.mktemp("page-store")
    shutil.copy(empty_database, home / "mlflow.db")
    return Store(home, f"sqlite:///{home / 'mlflow.db'}")


def sampled(tokenizer) -> dict[str, pl.DataFrame]:
    """samples, rewrites, edits and token_rewards: even samples are wrong, every fourth has an accepted rewrite."""
    rows = {"samples": [], "rewrites": [], "edits": [], "token_rewards": []}
    for number in range(SAMPLES):
        name, text, right = f"{number:016x}", text_of(number), bool(number % 2)
        ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        rows["samples"].append({"sample_id": name, "problem_id": name, "prompt_ids": [1], "completion_ids": ids,
            "completion": text, "finish_reason": "stop", "extracted_answer": str(number),
            "is_right": right})  # fmt: skip
        rewards = [0.5 if right else -0.1 if place % 7 == 3 else 0.0 for place in range(len(ids))]
        rows["token_rewards"].append({"sample_id": name, "credit_source": "grm", "rewards": rewards,
            "probabilities": [0.5 + reward for reward in rewards], "reference_logprobs": [0.0] * len(ids)})  # fmt: skip
        if right:
            continue
        accepted = number % 4 == 0
        rows["rewrites"].append({"sample_id": name, "rewriter": "grm", "located_step": 1, "rewrite_ids": ids,
            "rewrite": text.replace("has", "now has"), "extracted_answer": "1", "is_right": accepted,
            "edit_distance": 1, "edit_fraction": number / SAMPLES, "attempts": 1,
            "reject_reason": None if accepted else "wrong answer"})  # fmt: skip
        if accepted:
            marks = [place == 3 for place in range(len(ids))]
            rows["edits"].append({"sample_id": name, "kinds": ["insert"], "source_positions": [3],
                "target_positions": [3], "sample_edited": marks, "rewrite_edited": marks})  # fmt: skip
    return {name: table(name, found) for name, found in rows.items()}


def answers(shift: int) -> pl.DataFrame:
    """Predictions on the benchmark: problem i is right where i + shift is even."""
    return table("predictions", [
        {"benchmark": "test", "problem_id": f"{number:016x}", "number": 0,
         "completion": f"It is {number + shift}.{MARKUP}",
         "extracted_answer": str(number + shift), "is_right": (number + shift) % 2 == 0}
        for number in range(ASKED)
    ])  # fmt: skip


@pytest.fixture(scope="session")
def run(store, bytes_tokenizer, tmp_path_factory) -> SimpleNamespace:
    """A whole run of the method: its id, summary, stages and page."""
    parent = store.start(f"run {MARKUP}", {"rlmec.kind": "pipeline"}).info.run_id
    made = Made(store, parent, tmp_path_factory.mktemp("stages"))
    data = sampled(bytes_tokenizer)
    trained = pl.DataFrame({"sample_id": data["rewrites"]["sample_id"], "trained": True})
    asked = {
        "train": ("problems", problems(SAMPLES, "arithmetic")),
        "benchmarks": ("problems", problems(ASKED, "test")),
    }
    made.stage("prepare", {"problems/train": SAMPLES, "overlap": 0}, asked)
    made.stage(
        "evaluate-before", {"accuracy/test": 0.5}, {"predictions": ("predictions", answers(0))}, inputs=["prepare"]
    )
    made.stage(
        "sample",
        {"completions": SAMPLES, "right_share": 0.5},
        {"samples": ("samples", data["samples"])},
        inputs=["prepare"],
    )
    made.stage("teach", {"accepted": 140}, {"rewrites": ("rewrites", data["rewrites"])}, inputs=["prepare", "sample"])
    made.stage(
        "train_reward_model",
        {"loss": 0.1},
        {"pairs": (None, trained)},
        bytes_tokenizer,
        [2, 1, 0.5],
        ["sample", "teach"],
    )
    quality = {"pairs/trained": 200, "rewrites_right/trained": 0.9, "pairs/unseen": 80, "rewrites_right/unseen": 0.7}
    made.stage(
        "rewrite", quality, {"rewrites": ("rewrites", data["rewrites"])}, inputs=["sample", "train_reward_model"]
    )
    made.stage("align", {}, {"edits": ("edits", data["edits"])}, inputs=["sample", "rewrite"])
    made.stage("score", {}, {"token_rewards": ("token_rewards", data["token_rewards"])}, inputs=["train_reward_model"])
    made.stage("train_policy", {}, {}, bytes_tokenizer, [3, 2, 1], ["sample", "rewrite", "align", "score"])
    made.stage("evaluate-after", {}, {"predictions": ("predictions", answers(1))}, inputs=["train_policy", "prepare"])
    summary = made.summary(preset="toy", recipe="rlmec", seed=0)
    files = run_files(store, parent, summary, made.runs)
    return SimpleNamespace(id=parent, summary=summary, stages=made.runs, files=files, page=files["report.html"])


@pytest.fixture(scope="session")
def comparison(store, tmp_path_factory) -> SimpleNamespace:
    """Two recipes under two seeds: of 40 problems sft solves the even ones, rlmec the odd ones."""
    parent = store.start("compare-toy", {"rlmec.kind": "comparison"}).info.run_id
    for recipe, shift in (("sft", 0), ("rlmec", 1)):
        for seed in (0, 1):
            tags = {
                "rlmec.kind": "pipeline",
                "rlmec.purpose": "compared",
                "rlmec.recipe": recipe,
                "rlmec.seed": str(seed),
            }
            below = store.start(f"{recipe}, seed {seed}", tags, parent).info.run_id
            made = Made(store, below, tmp_path_factory.mktemp("compared"))
            made.stage("prepare", {}, {"benchmarks": ("problems", problems(ASKED, "test"))})
            made.stage("evaluate-after", {}, {"predictions": ("predictions", answers(shift))}, inputs=["prepare"])
    found = {"learning_rate": 1e-3, "seconds": 60.0, "tokens": 1e6,
             "test": {"mean": 0.5, "low": 0.4, "high": 0.6, "seeds": []}}  # fmt: skip
    row = {"recipe": "rlmec", "against": "sft", "benchmark": "test", "difference": 0.0, "low": -0.1, "high": 0.1,
           "p": 1.0, "p_corrected": 1.0, "p_mcnemar": 1.0, "p_mcnemar_corrected": 1.0}  # fmt: skip
    result = {"preset": "toy", "seeds": [0, 1], "rates": [1.0], "tuning_seed": 1000,
              "recipes": {"sft": found, "rlmec": found}, "differences": [row], "skipped": {}}  # fmt: skip
    return SimpleNamespace(id=parent, result=result, page=comparison_page(store, parent, result))


@pytest.fixture
def making(store, tmp_path) -> Callable[[str], tuple[str, Made]]:
    """Starts a pipeline of this name: its id, and what writes its stages."""

    def start(name: str) -> tuple[str, Made]:
        parent = store.start(name, {"rlmec.kind": "pipeline"}).info.run_id
        return parent, Made(store, parent, tmp_path)

    return start


@pytest.fixture(scope="session")
def harm() -> SimpleNamespace:
    """The texts that mean harm, and how many problems the benchmark has."""
    return SimpleNamespace(markup=MARKUP, backwards=BACKWARDS, long=LONG, asked=ASKED)


@pytest.fixture(scope="session")
def data_of():
    """Reads the data that a page holds."""

    def read(page: str) -> dict:
        start = page.index('id="data">') + len('id="data">')
        return json.loads(page[start : page.index("</script>", start)])

    return read
