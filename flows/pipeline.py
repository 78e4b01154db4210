"""A run of the method: finds each stage in the store or computes it, and keeps the parent run that links all.

    run_method(method, config, control).summary

The same body can be planned: `reused` goes through it with look-ups alone and gives up at the first stage
that must be computed, so that a pipeline that is all in the store never starts a Prefect server.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from flows import summary
from flows.artifacts import Output, StageRun
from flows.checkpoint import checkpoint
from flows.control import Call, Control, Promised, Rules, rules, trace
from flows.digests import DamagedError
from flows.execution import Direct
from flows.home import home
from flows.key import code_digest, roots_of, stage_key
from flows.notes import NOTE, run_note
from flows.page.publish import publish_run
from flows.registry import register_policy
from flows.server import prefect_server
from flows.stage import Done, compute, say
from flows.store import Store, open_store
from flows.summary import Numbers
from tasks.errors import UserError
from tasks.work import Work

Method = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Outcome:
    """What a pipeline leaves: summary.json, the id of its parent run, and what its stages logged."""

    summary: dict[str, Any]
    run_id: str
    numbers: Numbers = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """What a pipeline is a part of: the MLflow run above it, and its own name and further tags there."""

    above: str
    name: str
    tags: Mapping[str, str]


class MustComputeError(Exception):
    """A look-up alone is not enough: a stage must run."""


class _StopError(Exception):
    """The last wanted stage is done."""


class Pipeline:
    """What the flow's body calls, a line a stage. Without `parent` it only looks up."""

    def __init__(
        self,
        config: Any,
        store: Store,
        calls: Mapping[str, Call],
        control: Control,
        engine: Direct,
        package: str = "tasks",
    ) -> None:
        self.config, self.store, self.control, self.engine = config, store, control, engine
        self.package = package
        self.rules: Rules = rules(calls, control, store, config.heading.get("preset"))
        # Hashed before anything runs: code that is edited meanwhile is not the code that runs.
        self.code = {
            label: code_digest(f"{package}.{call.stage}", call.options, roots_of(package))
            for label, call in calls.items()
        }
        self.begun: set[str] = set()  # a forced stage begins anew once, and not when it is tried again
        self.parent: str | None = None
        self.done: list[Done] = []
        self.outcome: Outcome | None = None

    def __call__(
        self, stage: str, options: BaseModel, *, label: str | None = None, seeded: bool = True, **inputs: Any
    ) -> Mapping[str, Output]:
        """The outputs of a stage by name, found or computed; promises for one that this run does not need."""
        call = Call.of(self.config.seed, stage, options, label, seeded, inputs)
        if call.label not in self.rules.needed:
            return Promised(call.label)
        done = self.engine.stage(call.label, lambda: self._finish(call))
        self.done.append(done)
        if self.parent:
            self.announce([done])
        if call.label == self.rules.last:
            raise _StopError
        return done.run.outputs

    def external(self, name: str, chat_template: bool = True) -> Output:
        """A checkpoint of the user's, asked through its chat template or in plain text."""
        return checkpoint(self.store, name, chat_template)

    def announce(self, finished: Sequence[Done]) -> None:
        """Link finished stages to the parent run and say so."""
        assert self.parent is not None
        self.store.tag(self.parent, {f"rlmec.stage.{done.label}": done.run.run_id for done in finished})
        for done in finished:
            say_remarks(done.label, done.remarks)
            how = f"reused from run {done.run.run_id[:8]}, " if done.reused else ""
            say(f"{done.label}: {how}{done.run.seconds:.1f} s")

    def _finish(self, call: Call) -> Done:
        """Take, find or compute one stage."""
        if call.label in self.rules.taken:
            return self._taken(call)
        inputs = {name: output.digest for name, output in call.inputs.items()}
        seed = call.seed if call.seeded else None
        key = stage_key(call.stage, self.code[call.label], call.options, seed, inputs)
        is_forced = call.label in self.rules.forced
        remarks: tuple[str, ...] = ()
        if not is_forced and call.label not in self.rules.only:
            found, remarks = self._found(call, key)
            if found:
                return Done(call.label, found, True, remarks)
        if self.parent is None:
            raise MustComputeError(call.label)
        say_remarks(call.label, remarks)
        say(f"{call.label} …")
        execution = self.config.execution
        how = Work(
            each=self.engine.shards,
            checkpoint_every=execution.checkpoint_every,
            lasting=home() / "answers",
            workers=execution.at_once,
        )
        code, slot, anew = self.code[call.label], self.engine.slot, is_forced and call.label not in self.begun
        self.begun.add(call.label)
        run = compute(self.store, call, key, code, self.parent, self.package, anew, how, slot, execution)
        return Done(call.label, run, False)

    def _found(self, call: Call, key: str) -> tuple[StageRun | None, tuple[str, ...]]:
        """The finished stage with this key, and which were passed over; under --only it must be there."""
        found, problems = self.store.find(key)
        if found is None and self.rules.only:
            only = self.control.only
            if problems:
                raise UserError(f"--only {only} needs {call.label}, but {problems[0]}: {self._remake(call)}")
            command = f"{self._command()} --until {call.label}"
            other = self.store.from_other_code(call.label, call.settings, self.code[call.label])
            where = (
                f"which only other code has left in the store (run {other})" if other else "which is not in the store"
            )
            raise UserError(f"--only {only} needs {call.label}, {where}: run `{command}` first")
        return found, tuple(f"not reused, {problem}" for problem in problems)

    def _taken(self, call: Call) -> Done:
        """A stage of the run that --from-run names, as it is."""
        run_id = self.rules.taken[call.label]
        try:
            run = self.store.stage_run(run_id)
        except DamagedError as error:
            raise UserError(f"{call.label}: {error} in run {run_id}: {self._remake(call)}") from error
        changed = self._changed(call, run_id)
        remark = f"taken as it is, though {changed} changed since: `--force {call.label}` makes it again"
        return Done(call.label, run, True, (remark,) if changed else ())

    def _changed(self, call: Call, run_id: str) -> str:
        """What of a stage is not what it was in an earlier run of it, in words; nothing in most cases."""
        tags = self.store.client.get_run(run_id).data.tags
        code, inputs = tags.get("rlmec.code", ""), {name: output.digest for name, output in call.inputs.items()}
        changed = []
        if code != self.code[call.label]:
            changed.append("its code")
        if tags.get("rlmec.settings") != call.settings:
            changed.append("its options")
        else:
            try:
                key = stage_key(call.stage, code, call.options, call.seed if call.seeded else None, inputs)
            except UserError:  # a file that it read is not there any more
                key = ""
            if key != tags.get("rlmec.key"):
                changed.append("what it reads")
        return " and ".join(changed)

    def _remake(self, call: Call) -> str:
        return f"`{self._command()} --force {call.label} --until {call.label}` makes it again"

    def _command(self) -> str:
        from_run = f" --from-run {self.control.from_run}" if self.control.from_run else ""
        return f"{self.control.command}{from_run}"


def say_remarks(label: str, remarks: Sequence[str]) -> None:
    """Tell the user what was noticed about a stage."""
    for remark in remarks:
        say(f"{label}: {remark}")


@contextmanager
def parent_run(run: Pipeline, started: float, part: Part | None = None) -> Iterator[None]:
    """The parent run around a body of stages: its configuration, the links, the summary, and how it ended. The policy
    is registered, unless the run is a part of another one."""
    store, config = run.store, run.config
    name = part.name if part else f"{config.run_name}-{datetime.now():%m%d-%H%M%S}"
    heading = {f"rlmec.{name}": str(text) for name, text in config.heading.items() if text is not None}
    tags = {"rlmec.kind": "pipeline", **heading, **(part.tags if part else {})}
    with store.running(name, tags, part.above if part else None) as run.parent:
        store.params(run.parent, config.model_dump(mode="json"))
        store.client.log_dict(run.parent, config.model_dump(mode="json"), "config.json")
        with suppress(_StopError):
            yield
        run.outcome = conclude(run, started)
        trained = {done.label: done.run for done in run.done}.get("train_policy")
        if trained and part is None:
            register_policy(store, trained, run.outcome.summary)


def conclude(run: Pipeline, started: float) -> Outcome:
    """Write the summary, its numbers and its page to the parent run."""
    assert run.parent is not None
    numbers = {stage.label: summary.stage_metrics(run.store, stage.run.run_id) for stage in run.done}
    result = summary.build(run.config, run.done, numbers, time.monotonic() - started)
    run.store.client.log_text(run.parent, json.dumps(result, indent=2), "summary.json")
    summary.log_numbers(run.store, run.parent, result, numbers)
    run.store.tag(run.parent, {NOTE: run_note(result)})
    publish_run(run.store, run.parent, result, {done.label: done.run for done in run.done})
    return Outcome(result, run.parent, numbers)


def run_method(
    method: Method,
    config: Any,
    control: Control,
    package: str = "tasks",
    engine: Direct | None = None,
    part: Part | None = None,
) -> Outcome:
    """Go through a method's stages, computing those that the store lacks, each as a Prefect task by default. An engine
    that is given stays open."""
    started = time.monotonic()
    store = open_store()
    store.sweep()
    with ExitStack() as own:
        if engine is None:
            from flows.engine import Prefect

            engine = own.enter_context(Prefect(config.execution))
        run = Pipeline(config, store, trace(method, config), control, engine, package)
        with parent_run(run, started, part):
            method(run, config)
    assert run.outcome is not None
    return run.outcome


def reused(method: Method, config: Any, control: Control, package: str = "tasks") -> Outcome | None:
    """The outcome where every stage is in the store already; None, with nothing done, where one is not."""
    started = time.monotonic()
    store = open_store()
    store.sweep()
    run = Pipeline(config, store, trace(method, config), control, Direct(), package)
    try:
        method(run, config)
    except MustComputeError:
        return None
    except _StopError:
        pass
    with parent_run(run, started):
        run.announce(run.done)
        say("Every stage is in the store: nothing is computed, and Prefect is not started")
    return run.outcome


def in_store(method: Method, config: Any, control: Control) -> list[str]:
    """The stages that a run would find in the store, up to the first that it would compute."""
    run = Pipeline(config, open_store(), trace(method, config), control, Direct())
    with suppress(MustComputeError, _StopError):
        method(run, config)
    return [done.label for done in run.done]


def reused_or(method: Method, config: Any, control: Control, flow: Callable[[], Outcome]) -> Outcome:
    """The outcome from the store, or else of the Prefect flow: only that needs Prefect's server."""
    outcome = reused(method, config, control)
    if outcome is None:
        with prefect_server():
            outcome = flow()
    return outcome
