"""The `rlmec` command as a user types it, over a checkout whose ten stages are fakes that end at once."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import flows
import models
import tasks
from flows import cli
from flows.home import environment_of

STAGES = {
    "prepare": ("train development benchmarks", ""),
    "warm_up": ("model", 'log({"band_reached": 0.0, "development_accuracy": 0.5})'),
    "sample": ("samples", ""),
    "teach": ("rewrites", ""),
    "train_reward_model": ("model pairs", ""),
    "rewrite": ("rewrites", 'log({"rewrites_right/unseen": 0.75, "edit_fraction/unseen": 0.125})'),
    "align": ("edits", ""),
    "score": ("token_rewards", 'log({"negative_token_share": 0.04})'),
    "train_policy": ("model", ""),
    "evaluate": ("predictions", 'log({"right/test": 3, "total/test": 4})'),
}
MODULE = '''"""Stage `{stage}`: a fake."""
import sys
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tasks.errors import UserError


class {options}(BaseModel, extra="forbid", frozen=True):
    text: str = ""
    credit: str = ""
    rewriter: str = "reward_model"
    lora: None = None
    needs: tuple[str, ...] = ("reward_model",)
    least_samples: int = 1
    samples_per_problem: int = 1
    imitate: list[str] = []
    objectives: dict[str, Any] = {{}}
    edited_weight: float = 1.0
    kept_weight: float = 1.0
    prompt: str = "plain"

    @property
    def tables(self):
        return ("samples", "rewrites", "edits", "token_rewards") if "rewrites" in self.imitate else ()


def {stage}(options, inputs, out, *, seed, log, work):
    if options.text == "refuse":
        raise UserError("row 7 has no answer")
    if options.text == "break":
        raise ZeroDivisionError("no such luck")
    if options.text == "wait":
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(60)
    for name in "{outputs}".split():
        path = out / name
        if name == "model":
            path.mkdir()
            path = path / "weights"
        path.write_text(f"{stage} {{options.text}} {{seed}}")
    {body}
'''


RECORDS = """
from flows.store import open_store
store = open_store()
run = store.client.get_run("{run_id}")
own = ("mlflow.note.content", "mlflow.runName", "rlmec.process")  # of which each run has its own
print(sorted((name, text) for name, text in run.data.tags.items() if name not in own))
print(sorted(run.data.params.items()), sorted(run.data.metrics), run.info.status, own[0] in run.data.tags)
print(sorted(entry.path for entry in store.client.list_artifacts(run.info.run_id)))
"""


class Checkout:
    """A folder with the real flows/ and models/ and fake tasks/, and a store beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in (flows, models):
            (folder / package.__name__).symlink_to(Path(package.__file__).parent)
        (folder / "tasks").mkdir()
        (folder / "tasks" / "__init__.py").touch()
        real = Path(tasks.__file__).parent
        for path in [*real.glob("*.py"), real / "credit"]:
            if path.stem not in {*STAGES, "__init__"}:
                (folder / "tasks" / path.name).symlink_to(path)
        for stage, (outputs, body) in STAGES.items():
            options = "".join(part.title() for part in stage.split("_")) + "Options"
            text = MODULE.format(stage=stage, options=options, outputs=outputs, body=body or "pass")
            (folder / "tasks" / f"{stage}.py").write_text(text)
        (folder / "fake.toml").write_text('description = "fake"\n')

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a process here, with more variables."""
        return environment_of(self.folder / "home", PYTHONPATH=str(self.folder), **variables)

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        """Start `rlmec` in a process group of its own, with more variables of the environment."""
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *words],
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def rlmec(self, *words: str, **variables: str) -> tuple[int, str, str]:
        """Run `rlmec` to its end: exit code, standard output, standard error."""
        process = self.start(*words, **variables)
        output, errors = process.communicate(timeout=240)
        return process.returncode, output, errors


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def finished(checkout) -> tuple[int, str, str]:
    """The first whole run, through Prefect."""
    return checkout.rlmec("run", "./fake.toml", "--json")


def test_a_whole_run_prints_its_summary_alone_on_standard_output(finished):
    code, output, errors = finished
    assert code == 0, errors
    summary = json.loads(output)
    assert (summary["preset"], summary["recipe"], summary["seed"]) == ("fake", "rlmec", 0)
    assert [stage["name"] for stage in summary["stages"]][::10] == ["prepare", "evaluate-after"]
    assert not any(stage["reused"] for stage in summary["stages"])
    assert summary["accuracy"]["test"]["before"]["rate"] == 0.75


def test_its_end_table_shows_accuracy_quality_warnings_and_where_all_lies(finished):
    _, _, errors = finished
    for text in (
        "75.0 % [30.1, 95.4]", "rewrites right", "12.5%", "Tokens with a negative reward: 4.0%",
        "Warning: warm_up", "AutoModelForCausalLM.from_pretrained(", "/runs/",
    ):  # fmt: skip
        assert text in errors
    assert "Traceback" not in errors
    assert "| INFO" not in errors


@pytest.fixture(scope="module")
def reused(checkout, finished) -> str:
    """What the same run prints on standard error once all is in the store, and what it imports."""
    log = checkout.folder / "home" / "prefect" / "server.log"
    before = log.stat().st_mtime_ns
    code, output, errors = checkout.rlmec("run", "./fake.toml", "--json", PYTHONPROFILEIMPORTTIME="1")
    assert code == 0
    assert all(stage["reused"] for stage in json.loads(output)["stages"])
    assert log.stat().st_mtime_ns == before
    return errors


def test_a_reused_run_starts_no_prefect_server_and_imports_nothing_that_takes_seconds(reused):
    assert "Every stage is in the store: nothing is computed, and Prefect is not started" in reused.splitlines()
    imported = {line.split()[-1] for line in reused.splitlines() if line.startswith("import time:")}
    assert "mlflow" in imported
    assert imported & {"torch", "prefect", "transformers", "scipy.stats"} == set()


def test_a_reused_run_leaves_the_same_records_as_the_run_that_it_reuses(checkout, reused):
    again = re.search(r"/runs/(\w+)", reused)
    assert again
    first, second = (
        checkout_python(checkout, RECORDS.format(run_id=run_id)) for run_id in (latest_run(checkout), again[1])
    )
    assert first == second
    for record in ("'rlmec.stage.evaluate-after'", "'accuracy/test/gain'", "summary.json"):
        assert record in second


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--set", "score.text=refuse"], "rlmec: row 7 has no answer"),
        (["--only", "score", "--seed", "9"], "rlmec: --only score needs warm_up, which is not in the store"),
        (["--until", "scroe"], "rlmec: --until scroe: this run has no such stage; did you mean 'score'?"),
        (["--set", "score.txt=1"], "rlmec: unknown option score.txt: did you mean 'text'?"),
        (["--from-run", "nope"], "rlmec: no pipeline run is called 'nope'"),
    ],
)
def test_a_users_mistake_ends_with_2_and_one_line(checkout, words, line):
    code, output, errors = checkout.rlmec("run", "./fake.toml", *words)
    assert (code, output) == (2, "")
    assert errors.splitlines()[-1].startswith(line)
    assert "Traceback" not in errors


@pytest.mark.usefixtures("finished")
def test_a_stage_that_breaks_ends_with_1_and_names_itself(checkout):
    code, _, errors = checkout.rlmec("run", "./fake.toml", "--set", "score.text=break")
    assert code == 1
    assert errors.splitlines()[-1] == "rlmec: stage score failed: ZeroDivisionError: no such luck"


@pytest.mark.usefixtures("finished")
def test_from_run_without_a_preset_takes_the_configuration_of_the_run(checkout):
    run_id = latest_run(checkout)
    code, output, errors = checkout.rlmec("run", "--from-run", run_id[:10], "--only", "align", "--json")
    assert code == 0, errors
    stages = {stage["name"]: stage["reused"] for stage in json.loads(output)["stages"]}
    assert [name for name, is_reused in stages.items() if not is_reused] == ["align"]


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_tidily_and_leaves_no_process(checkout, number, code):
    process = checkout.start("run", "./fake.toml", "--set", "align.text=wait")
    assert process.stderr is not None
    while not process.stderr.readline().startswith("waiting"):
        assert process.poll() is None
    os.killpg(process.pid, number)  # as a terminal does: to the whole process group
    process.communicate(timeout=120)
    assert process.returncode == code
    program = (
        "from flows.store import open_store as o\n"
        "print(*{run.info.run_name[:4]: run.info.status for run in reversed([*o().search('')])}.items())"
    )
    states = checkout_python(checkout, program)
    assert "('alig', 'KILLED')" in states
    assert "('fake', 'KILLED')" in states
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_help_and_lists_answer_without_heavy_imports():
    program = (
        "import sys\nfrom flows import cli\nfrom flows.listing import lines\nlines('presets')\ncli.parser()\n"
        "print(*{'mlflow', 'prefect', 'torch', 'transformers'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_an_unknown_preset_names_the_nearest(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("RLMEC_HOME", str(tmp_path))
    assert cli.main(["run", "smok"]) == 2
    assert capsys.readouterr().err == "rlmec: no preset 'smok': did you mean 'smoke'?\n"


def latest_run(checkout: Checkout) -> str:
    """The id of the first finished pipeline."""
    program = (
        "from flows.store import open_store as o\n"
        "print([run.info.run_id for run in o().search(\"tags.`rlmec.kind` = 'pipeline'\")][-1])"
    )
    return checkout_python(checkout, program).strip()


def checkout_python(checkout: Checkout, program: str) -> str:
    """What a Python program prints in the checkout."""
    return subprocess.run(
        [sys.executable, "-c", program], env=checkout.environment(), cwd=checkout.folder, capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
