"""`bench`: a small method of four fake stages, run without Prefect on a store of its own.

prepare (text) → train_policy (updates, seeded) → evaluate, and beside them `spare`, which reads prepare alone

`rlmec`: the command as a user types it.
"""

import importlib
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from flows.home import environment_of, quieten

STAGES = {
    "prepare": """
        (out / "train.json").write_text(options.text)
        (out / "benchmarks.json").write_text("[]")
    """,
    "spare": """
        (out / "copy.json").write_bytes(inputs["problems"].read_bytes())
    """,
    "train_policy": """
        (out / "model").mkdir()
        text = inputs["problems"].read_text()[:3]
        (out / "model" / "weights").write_text(f"{text} {options.updates} {seed}")
        for step in range(1200):
            log({"loss/total (mean)": 1 / (1 + step)}, step)
        if options.updates == 13:
            raise ValueError("thirteen")
    """,
    "evaluate": """
        (out / "predictions.json").write_bytes((inputs["policy"] / "weights").read_bytes())
        log({"right/test": 8, "total/test": 10, "accuracy/test": 0.8})
    """,
}
HEAD = '''"""A fake stage."""
from pathlib import Path

from {package} import helper


def {stage}(options, inputs, out, *, seed, log, work):
    """It says that it ran."""
    with open(Path(__file__).parent / "ran", "a") as file:
        file.write("{stage}\\n")
'''


class PrepareOptions(BaseModel, extra="forbid", frozen=True):
    text: str = "abc"


class TrainOptions(BaseModel, extra="forbid", frozen=True):
    updates: int = 2


class Nothing(BaseModel, extra="forbid", frozen=True):
    pass


class FakeRecipe(BaseModel, frozen=True):
    name: str = "fake"


class FakeExecution(BaseModel, frozen=True):
    checkpoint_every: int = 1
    at_once: int = 1

    def trains_together(self, options: Any) -> bool:
        return False

    is_elsewhere = trains_together


class FakeConfig(BaseModel, frozen=True):
    preset: str = "toy"
    recipe: FakeRecipe = FakeRecipe()
    seed: int = 0
    execution: FakeExecution = FakeExecution()
    prepare: PrepareOptions = PrepareOptions()
    spare: Nothing = Nothing()
    train_policy: TrainOptions = TrainOptions()
    evaluate: Nothing = Nothing()

    @property
    def heading(self) -> dict[str, Any]:
        return {"preset": self.preset, "recipe": self.recipe.name, "seed": self.seed}

    @property
    def run_name(self) -> str:
        return f"{self.preset}-{self.recipe.name}-{self.seed}"


def method(run: Any, config: FakeConfig) -> None:
    problems = run("prepare", config.prepare, seeded=False)["train"]
    run("spare", config.spare, problems=problems)
    policy = run("train_policy", config.train_policy, problems=problems)["model"]
    run("evaluate", config.evaluate, label="evaluate-after", policy=policy)


class Bench:
    """The fake method with a store: `go` runs it and says which stages were computed."""

    def __init__(self, folder: Path, package: str) -> None:
        self.folder, self.package, self.method = folder, package, method
        self.code = folder / "code" / package
        self.code.mkdir(parents=True)
        (self.code / "__init__.py").write_text("")
        (self.code / "helper.py").write_text("VALUE = 1\n")
        for stage, body in STAGES.items():
            (self.code / f"{stage}.py").write_text(
                HEAD.format(stage=stage, package=package) + textwrap.indent(textwrap.dedent(body), "    ")
            )

    def config_of(self, text: str = "abc", updates: int = 2, seed: int = 0) -> FakeConfig:
        """A configuration of the fake method."""
        return FakeConfig(seed=seed, prepare=PrepareOptions(text=text), train_policy=TrainOptions(updates=updates))

    def ran(self) -> list[str]:
        """The stages that ran since the last call."""
        path = self.code / "ran"
        stages = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return stages

    def go(self, text: str = "abc", updates: int = 2, seed: int = 0, **control: Any) -> list[str]:
        """Run the method and return the stages that were computed, in order."""
        from flows.control import Control
        from flows.execution import Direct
        from flows.pipeline import run_method

        config = self.config_of(text, updates, seed)
        self.outcome = run_method(method, config, Control(**control), self.package, Direct())
        return self.ran()

    def forget_code(self) -> None:
        """Let the next run read the code again, as a new process would."""
        from flows import key

        key.read.cache_clear()
        for name in [name for name in sys.modules if name.split(".")[0] == self.package]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def stage(self, name: str) -> dict[str, Any]:
        """A stage's entry in the last run's summary."""
        return next(stage for stage in self.outcome.summary["stages"] if stage["name"] == name)

    def artifact(self, run_id: str, path: str) -> Path:
        """A file among a run's artifacts."""
        return self.folder / "home" / "artifacts" / run_id / "artifacts" / path

    def manifest(self, run_id: str) -> Any:
        return json.loads(self.artifact(run_id, "manifest.json").read_text())


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them: making one takes seconds, copying it none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Iterator[Bench]:
    """A fresh store and fresh fake stages."""
    (tmp_path / "home").mkdir()
    shutil.copy(empty_database, tmp_path / "home" / "mlflow.db")
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path / "home"))
    made = Bench(tmp_path, f"fake_{abs(hash(str(tmp_path))):x}")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    quieten()
    yield made
    made.forget_code()


class Command:
    """The `rlmec` command in a process of its own; `small` makes models too small to be right, and runs of seconds."""

    small = tuple(
        word
        for setting in (
            "prepare.train_problems=40", "prepare.development_problems=12", "prepare.benchmark_problems=12",
            "warm_up.updates=4", "warm_up.check_every=4", "warm_up.check_problems=4",
            "sample.problems=10", "sample.max_new_tokens=8", "train_reward_model.updates=2",
            "rewrite.max_new_tokens=8", "train_policy.updates=2", "evaluate.max_new_tokens=8",
        )
        for word in ("--set", setting)
    )  # fmt: skip

    def start(
        self, place: Path, *words: str, errors: Any = subprocess.PIPE, **variables: str
    ) -> "subprocess.Popen[str]":
        """The command at work in the folder `place`, on the store there, with more variables of the environment."""
        environment = environment_of(place / "home", **{"OMP_NUM_THREADS": "1"} | variables)
        return subprocess.Popen([sys.executable, "-m", "flows.cli", *words], cwd=place, env=environment, text=True,
                                stdout=subprocess.PIPE, stderr=errors, start_new_session=True)  # fmt: skip

    def __call__(self, place: Path, *words: str, **variables: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of the command."""
        process = self.start(place, *words, **variables)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors


@pytest.fixture(scope="session")
def rlmec() -> Command:
    return Command()
