"""The files that docs/extend.md shows, written where the page says and run as it says, on a few rows."""

import importlib
import json
import math
import re
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from flows.config import load_config
from flows.control import Control
from flows.execution import Direct
from flows.home import quieten
from flows.key import code_digest, read, stage_key
from flows.method import method
from flows.pipeline import run_method
from flows.samples import Scored
from flows.store import open_store
from models.batch import Example, collate
from models.loop import Optimisation
from tasks import parts
from tasks.errors import UserError
from tasks.prepare import PrepareOptions, prepare
from tasks.prompts import solution_completion, solve_prompt
from tasks.records import read_table, table, write_table
from tasks.score import ScoreOptions, score
from tasks.teach import TeachOptions, teach
from tasks.train_policy import TrainPolicyOptions, train_policy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"\*\*`([\w.]+)`\*\*\n\n```\w+\n(.*?)```", PAGE, re.DOTALL))
PACKAGES = {"shop": "tasks.datasets", "corrections": "tasks.teachers", "random_tokens": "tasks.credit",
            "mean_nll": "models.objectives"}  # fmt: skip


@pytest.fixture
def mine(tmp_path, monkeypatch) -> Path:
    """The folder `mine` with every file of the page, below the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, text in FILES.items():
        (tmp_path / "mine" / name).write_text(text, encoding="utf-8")
    parts.from_file.cache_clear()
    return tmp_path / "mine"


@pytest.fixture
def tables(tmp_path, tokenizer, policy_folder) -> dict[str, Path]:
    """A problem of the page's CSV with two wrong samples and a right one."""
    solution = "3*2=6 euros.\nThe answer is 6."
    problem = {"problem_id": "p", "question": "A pen costs 2 euros. What do 3 pens cost?", "solution": solution,
               "answer": "6", "options": None, "source": "shop", "split": "train"}  # fmt: skip
    samples = []
    for text in ("3*2=5 euros.\nThe answer is 5.", "Each pen is 7.\nThe answer is 7.", problem["solution"]):
        ids = solution_completion(tokenizer, text)
        samples.append({"sample_id": f"id of {text}", "problem_id": "p", "completion_ids": ids, "completion": text,
                        "prompt_ids": solve_prompt(tokenizer, problem["question"], None), "finish_reason": "stop",
                        "extracted_answer": text[-2], "is_right": text == problem["solution"]})  # fmt: skip
    paths = {"policy": policy_folder, "tokenizer": policy_folder}
    for name, rows in (("problems", [problem]), ("samples", samples)):
        paths[name] = tmp_path / f"{name}.parquet"
        write_table(table(name, rows), name, paths[name])
    return paths


def test_every_example_is_a_file_of_under_40_lines():
    assert FILES.keys() == {f"{name}.py" for name in PACKAGES} | {"even.toml"}
    assert all(len(text.splitlines()) < 40 for text in FILES.values())


@pytest.mark.parametrize("name", PACKAGES)
def test_in_its_folder_a_file_is_found_by_its_name(name, mine, monkeypatch):
    package = importlib.import_module(PACKAGES[name])
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(mine)])
    assert name in parts.names(PACKAGES[name])
    module = parts.get(PACKAGES[name], name, "part")
    assert module.__doc__.startswith(FILES[f"{name}.py"][3:20])
    sys.modules.pop(f"{PACKAGES[name]}.{name}")
    vars(package).pop(name)


def test_the_dataset_reads_csv_carves_out_development_and_sets_a_bad_row_aside(mine, tmp_path):
    (text,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    (mine / "data").mkdir()
    (mine / "data" / "test.csv").write_text(text)
    rows = [f"A pen costs {price} euros. What do 3 pens cost?,3*{price}={3 * price} euros.,{3 * price}"
            for price in range(5, 65)]  # fmt: skip
    (mine / "data" / "train.csv").write_text("\n".join(["question,steps,answer", *rows, "What is this?,,"]))
    options = PrepareOptions(dataset="mine/shop.py", path="mine/data", benchmarks=["test"], near_duplicates="off")
    prepare(options, {}, tmp_path, seed=0)
    train, development, asked = (
        read_table("problems", tmp_path / f"{name}.parquet") for name in ("train", "development", "benchmarks")
    )
    assert (len(train) + len(development), len(asked)) == (60, 2)
    assert 0 < len(development) < 15
    assert set(train["source"]) == {"shop"}
    assert asked["solution"].to_list() == ["3*2=6 euros.\nThe answer is 6.", "5*4=20 euros.\nThe answer is 20."]
    (rejected,) = map(json.loads, (tmp_path / "rejected.jsonl").read_text().splitlines())
    assert rejected["where"] == "train.csv line 62"
    beside = PrepareOptions(benchmarks=["mine/shop.py:test"], paths={"mine/shop.py": "mine/data"})
    assert beside.parts() == [str(mine / "shop.py"), "tasks.datasets.arithmetic"]


def test_the_teacher_hands_out_what_was_written_and_else_the_reference(mine, tables, tmp_path):
    (line,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    wrong = json.dumps(json.loads(line) | {"rewrite": "3*2=5 euros.\nThe answer is 6."})  # right, by a false equation
    (mine / "corrections.jsonl").write_text(wrong + "\n" + line)
    options = TeachOptions(teacher="mine/corrections.py")
    before = stage_key("teach", "code", options, 0, {})
    teach(options, tables, tmp_path)
    rewrites = read_table("rewrites", tmp_path / "rewrites.parquet").sort("edit_distance")
    assert rewrites["rewriter"].to_list() == ["corrections"] * 2
    assert rewrites["rewrite"].to_list() == ["3*2=6 euros.\nThe answer is 6."] * 2  # the second is the reference
    assert rewrites["edit_distance"][0] == 2  # 5 → 6 twice
    assert rewrites["reject_reason"].null_count() == 2
    (mine / "corrections.jsonl").write_text(line)
    assert stage_key("teach", "code", options, 0, {}) != before


def test_a_sampler_may_be_a_file_too(mine):
    from tasks.sample import SampleOptions

    (mine / "draws.py").write_text("from tasks.samplers.hf import Options, completions\n")
    options = SampleOptions(sampler="mine/draws.py")
    assert options.parts() == [str(mine / "draws.py")]
    assert stage_key("sample", "code", options, 0, {})
    (mine / "empty.py").write_text("")
    with pytest.raises(UserError, match=r"a sampler has Options, completions; this file lacks Options, completions"):
        SampleOptions(sampler="mine/empty.py")


@pytest.mark.usefixtures("mine")
def test_the_credit_source_punishes_a_share_of_a_wrong_samples_tokens_whatever_the_shard(tables, tmp_path):
    found = []
    for shard_size in (1, 1024):
        options = ScoreOptions(credit="mine/random_tokens.py", settings={"share": 0.5}, shard_size=shard_size)
        score(options, tables, tmp_path)
        found.append(read_table("token_rewards", tmp_path / "token_rewards.parquet"))
    assert found[0]["rewards"].to_list() == found[1]["rewards"].to_list()
    assert set(found[0]["credit_source"]) == {"random_tokens"}
    first, second, right = found[0]["rewards"].to_list()
    counts = Counter(round(reward, 3) for reward in first + second)
    assert counts.keys() == {-0.1, 0.0}
    assert 0.25 < counts[-0.1] / counts.total() < 0.75
    assert set(right) == {0.5}
    with pytest.raises(ValueError, match=r"settings\.share: Input should be less than or equal to 1"):
        ScoreOptions(credit="mine/random_tokens.py", settings={"share": 2})


@pytest.mark.usefixtures("mine")
def test_in_the_objective_a_long_completion_counts_as_much_as_a_short_one():
    """One token of 1/2 and three of 1/8: (ln 2 + ln 8) / 2 = 2 ln 2; over tokens it would be (1 + 9) / 4 ln 2."""
    objective = parts.get("models.objectives", "mine/mean_nll.py", "objective").Objective()
    examples = [Example([1], [2], {"weight": [1.0]}), Example([1], [2, 3, 4], {"weight": [0.5, 0.5, 0.5]}),
                Example([1], [2, 3], {"reward": [0.1, 0.1]})]  # fmt: skip
    batch = collate(examples, torch.device("cpu"))
    logprobs = torch.where(batch.completion, math.log(1 / 8), 0.0)
    logprobs[0] = torch.where(batch.completion[0], math.log(1 / 2), 0.0)
    assert objective.count(batch) == 2
    assert float(objective.total(logprobs, batch)[0]) == pytest.approx(4 * math.log(2))


@pytest.mark.usefixtures("mine")
def test_the_recipe_trains_with_the_objective(tables, tmp_path):
    options = load_config("smoke", "mine/even.toml").train_policy
    options = TrainPolicyOptions(**options.model_dump() | {
        "updates": 8, "batch_size": 4, "optimisation": Optimisation(learning_rate=1e-2)})  # fmt: skip
    losses = []
    train_policy(options, tables, tmp_path, seed=0, log=lambda m, step=None: losses.append(m.get("loss/mean_nll")))
    losses = [loss for loss in losses if loss is not None]
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]


def test_the_code_of_a_path_counts_and_a_comment_in_it_does_not(mine):
    def digest() -> str:
        read.cache_clear()
        return code_digest("tasks.score", ScoreOptions(credit="mine/random_tokens.py"))

    path, before = mine / "random_tokens.py", digest()
    path.write_text("# A comment.\n" + FILES["random_tokens.py"])
    assert digest() == before
    path.write_text(FILES["random_tokens.py"].replace("< options.share", "<= options.share"))
    assert digest() != before
    assert digest() != code_digest("tasks.score", ScoreOptions(credit="outcome"))


def test_a_file_that_is_not_there_breaks_or_is_something_else_is_named_in_one_line(mine):
    with pytest.raises(UserError, match=r"mine/nope\.py: there is no such file"):
        ScoreOptions(credit="mine/nope.py")
    with pytest.raises(UserError, match=r"mean_nll\.py: a credit source has credit; this file lacks"):
        ScoreOptions(credit="mine/mean_nll.py")
    (mine / "broken.py").write_text("def f(:\n")
    with pytest.raises(UserError, match=r"broken\.py: cannot be loaded as a teacher \(SyntaxError: .*line 1\)"):
        TeachOptions(teacher="mine/broken.py").files()


@pytest.mark.usefixtures("mine")
def test_a_run_takes_a_part_by_path_and_finds_again_what_it_made(tmp_path, monkeypatch, empty_database, rlmec):
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    shutil.copy(empty_database, tmp_path / "home" / "mlflow.db")
    quieten()
    sets = [*rlmec.small[1::2], "score.credit=mine/random_tokens.py"]
    config = load_config("smoke", "rlmec-no-imitation", sets=sets)
    reused = []
    for _ in range(2):
        outcome = run_method(method, config, Control(until="score"), engine=Direct())
        reused.append({stage["name"]: stage["reused"] for stage in outcome.summary["stages"]})
    assert (reused[0]["score"], reused[1]["score"]) == (False, True)
    assert set(Scored(open_store(), "latest").listed()["credit_source"]) == {"random_tokens"}
