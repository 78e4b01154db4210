"""A training stage in two processes, with gloo on the CPU: it learns what one process learns, whatever becomes of them.

The stage `learn` below trains with both objectives of RLMEC on updates of 1 to 5 examples of different lengths, so
that shares, micro-batches and denominators differ between the processes. One of them has nothing to read at times, and
not enough memory at others.
"""

import importlib
import json
import time

import pytest
import torch
from safetensors.torch import load_file

from flows.config import load_config
from flows.control import trace
from flows.execution import ExecutionOptions
from flows.launch import ProcessError, failure, in_processes, launcher
from flows.method import method
from models import policy
from tasks.errors import UserError
from tasks.train_policy import TrainPolicyOptions
from tasks.work import Work

STAGE = '''
import os, signal
from pathlib import Path

import torch
from safetensors.torch import save_file

from models import loop, policy, processes
from models.batch import Example
from models.logprobs import token_logprobs
from models.objectives import policy_gradient, weighted_nll
from models.sharding import collected
from tasks.errors import UserError
from tasks.fit import History, fit

TOTAL, KILLED_AT = 8, 5
OBJECTIVES = {"weighted_nll": weighted_nll.Objective(), "policy_gradient": policy_gradient.Objective()}


def example(number):
    ids = [5 + number, 6, 7, 8 + number][: 1 + number % 4]
    rewards = [0.5, 0.0, -0.1, 0.0][: len(ids)]
    scores = {"reward": rewards} | ({"weight": [1.0] * len(ids)} if number % 2 else {})
    return Example([5] * (1 + number % 3), ids, scores, [-5.0] * len(ids), is_sample=True)


STEPS = [[example(3 * step + number) for number in range(1 + step % 5)] for step in range(TOTAL)]


def limited(model, batch):
    """The second process has less memory than the first."""
    if batch.layout.tokens.numel() > 9:
        raise torch.OutOfMemoryError("9 tokens at once")
    return token_logprobs(model, batch)


def learn(options, inputs, out, *, seed, log, work):
    model, tokenizer = policy.load(inputs["policy"])
    optimiser = options.optimisation.optimiser
    how = loop.Optimisation(optimiser=optimiser, learning_rate=1e-2, micro_batch_tokens=12)
    marked = work.folder / "kill"
    if processes.rank() == 1 and not work.sharded:
        loop.token_logprobs = limited
    for done in fit(model, iter(STEPS), TOTAL, OBJECTIVES, how, "learn", History(log), work, seed, longest=STEPS[4][3]):
        if done == KILLED_AT and processes.rank() == 1 and marked.exists():
            marked.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    policy.save(model, tokenizer, out / "model")


def gradients(options, inputs, out, *, seed, log, work):
    """The gradients of the first update."""
    from models.sharding import shard

    model, _ = policy.load(inputs["policy"])
    if work.sharded:
        shard(model)
    reading = loop.Reading(model, OBJECTIVES, None, "fp32", 12)
    log(loop.gradients(reading, processes.share(STEPS[4]), 1), 1)
    found = {name: collected(weights.grad) for name, weights in model.named_parameters()}
    if processes.rank() == 0:
        save_file(found, out / "gradients.safetensors")
    learn(options, inputs, out, seed=seed, log=log, work=work)


def mistaken(options, inputs, out, *, seed, log, work):
    if processes.rank() == 1:
        raise UserError("problems.parquet: row 7 has no question")
    processes.wait()
'''


class Stage:
    """Runs a function of the stage, here or in two processes, and keeps what it logs."""

    def __init__(self, folder, policy_folder):
        self.folder, self.inputs, self.optimiser = folder, {"policy": policy_folder}, "adamw"

    def __call__(self, function, name, processes=1, **execution):
        work = Work(self.folder / name, checkpoint_every=2, sharded=execution.get("sharded", False))
        work.folder.mkdir(exist_ok=True)
        out = self.folder / f"{name}-out"
        out.mkdir(exist_ok=True)
        self.curve = {}

        def log(metrics, step=None):
            if step is not None:
                self.curve[step] = metrics

        options = TrainPolicyOptions(device="cpu", optimisation={"optimiser": self.optimiser})
        if processes == 1:
            import together

            getattr(together, function)(options, self.inputs, out, seed=0, log=log, work=work)
        else:
            how = ExecutionOptions(processes=processes, **execution)
            in_processes(how, "together", function, options, self.inputs, out, 0, log, work)
        return out


@pytest.fixture
def stage(tmp_path, policy_folder, monkeypatch):
    (tmp_path / "together.py").write_text(STAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Stage(tmp_path, policy_folder)


def curves_agree(ours, theirs, within=1e-4):
    assert ours.keys() == theirs.keys()
    for step, report in theirs.items():
        for name in ("loss", "loss/weighted_nll", "loss/policy_gradient", "gradient_norm", "kl_to_reference", "tokens"):
            assert ours[step][name] == pytest.approx(report[name], abs=within), (step, name)


def weights_agree(ours, theirs):
    found, wanted = (policy.load(out / "model")[0].state_dict() for out in (ours, theirs))
    assert found.keys() == wanted.keys()
    for name, weights in wanted.items():
        torch.testing.assert_close(found[name], weights, atol=1e-4, rtol=0)


def test_two_processes_learn_what_one_does_also_after_one_of_them_was_killed(stage):
    """Checkpoints come after updates 2 and 4; the second process is killed after the fifth, so that goes again."""
    alone, curve = stage("learn", "alone"), stage.curve
    (stage.folder / "two").mkdir()
    (stage.folder / "two" / "kill").touch()
    started = time.monotonic()
    with pytest.raises(ProcessError, match="process 1 was ended by signal 9; the same command goes on from the last"):
        stage("learn", "two", processes=2)
    assert time.monotonic() - started < 300  # the other does not wait for it, which would take two hours
    assert [path.name for path in (stage.folder / "two").glob("updates-*")] == ["updates-00000004"]
    two = stage("learn", "two", processes=2)
    curves_agree(stage.curve, curve)
    weights_agree(two, alone)
    assert (curve[8]["micro_batch_tokens"], stage.curve[8]["micro_batch_tokens"]) == (12, 6)


def test_muon_sees_whole_matrices_where_weights_are_in_parts(stage):
    """It computes in bf16, which knows three digits, so losses near 6 agree to 0.03; of halves they would not."""
    stage.optimiser = "muon"
    stage("learn", "alone")
    curve = stage.curve
    stage("learn", "parts", processes=2, sharded=True)
    curves_agree(stage.curve, curve, within=0.03)


def test_weights_in_parts_give_the_same_losses_gradients_and_whole_checkpoints(stage):
    alone = stage("gradients", "alone")
    curve = stage.curve
    parts = stage("gradients", "parts", processes=2, sharded=True)
    curves_agree(stage.curve, curve)
    weights_agree(parts, alone)
    found, wanted = (load_file(out / "gradients.safetensors") for out in (parts, alone))
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=0)
    config = json.loads((parts / "model" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    (stage.folder / "alone").rename(stage.folder / "before")
    (stage.folder / "parts").rename(stage.folder / "alone")  # a checkpoint of both, after update 6, read by one alone
    weights_agree(stage("learn", "alone"), parts)
    assert stage.curve.keys() == curve.keys()


def test_what_goes_wrong_in_one_process_is_one_clear_message(stage):
    with pytest.raises(UserError, match=r"^problems.parquet: row 7 has no question$"):
        stage("mistaken", "first", processes=2)


@pytest.mark.parametrize(
    ("command", "line"),
    [("srnu --nodes=2", "there is no command 'srnu' here"), ("srun 'a", "cannot be read as a command")],
)
def test_a_launcher_that_cannot_be_started_is_named(command, line):
    with pytest.raises(UserError, match=f"^execution.launcher: .*{line}"):
        launcher(command)


def test_the_first_error_is_told_and_not_that_of_the_process_that_lost_the_other(tmp_path):
    for rank, kind, text, when in ((0, "RuntimeError", "Connection closed by peer", 9.0), (1, "ValueError", "13", 8.0)):
        report = {"kind": "error", "type": kind, "message": text, "traceback": f"line 1 of {rank}", "time": when}
        (tmp_path / f"error-{rank}.json").write_text(json.dumps(report))
    error = failure(tmp_path, {0: 1, 1: 1})
    assert (str(error), error.__notes__) == ("process 1: ValueError: 13", ["line 1 of 1"])
    assert str(failure(tmp_path, {0: 1, 1: -9})).startswith("process 1 was ended by signal 9")


def test_what_kind_of_mistake_a_process_made_is_not_lost(tmp_path):
    """A comparison goes on without a recipe that diverges, and not without one whose dataset is not there."""
    for kind in ("DivergedError", "UserError"):
        report = {"kind": "mistake", "message": "lower the rate", "type": kind, "traceback": "", "time": 1.0}
        (tmp_path / "error-0.json").write_text(json.dumps(report))
        error = failure(tmp_path, {0: 1})
        assert (type(error).__name__, str(error)) == (kind, "lower the rate")


def test_training_stages_alone_run_in_several_processes(bench, monkeypatch):
    """The fake method's one stage with updates; what it is called with is what it would be called with here."""
    called = []

    def recorded(execution, module, function, options, inputs, out, seed, log, work):
        called.append((module.rpartition(".")[2], function, sorted(inputs), out.parent == work.folder))
        getattr(importlib.import_module(module), function)(options, inputs, out, seed=seed, log=log, work=work)

    monkeypatch.setattr("flows.stage.in_processes", recorded)
    kind = type(bench.config_of().execution)
    monkeypatch.setattr(kind, "trains_together", lambda _, options: hasattr(options, "updates"))
    assert bench.go() == ["prepare", "spare", "train_policy", "evaluate"]
    assert called == [("train_policy", "train_policy", ["problems"], True)]


def test_the_number_of_processes_is_no_part_of_a_stages_key():
    """As with threads, what comes out is the same but for rounding."""
    config = load_config("smoke", sets=["execution.processes=2"])
    assert config.execution.trains_together(config.train_policy)
    assert not config.execution.trains_together(config.sample)
    alone, together = (trace(method, made) for made in (load_config("smoke"), config))
    assert [call.settings for call in alone.values()] == [call.settings for call in together.values()]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["execution.sharded=true"], "execution: sharded divides a model among several processes: set processes"),
        (["execution.launcher=srun"], "set processes to their number, over all machines"),
        (["execution.processes=2", "execution.sharded=true", "train_policy.lora={rank=4}"], "goes without lora"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, line):
    with pytest.raises(UserError, match=line):
        load_config("smoke", sets=settings)
