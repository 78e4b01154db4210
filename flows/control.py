"""Which stages run and which are taken as they are: --force, --only, --until and --from-run, as rules.

The flow's body is first traced with promises in the place of outputs. That gives its stages in order, each
with its options and where its inputs come from, so that names are checked before anything runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow.entities import Run
from pydantic import BaseModel

from flows.artifacts import Output
from flows.checkpoint import PLAIN
from flows.key import settings, stage_seed
from tasks.errors import UserError
from tasks.nearest import suggestion

if TYPE_CHECKING:
    from flows.store import Store


@dataclass(frozen=True)
class Control:
    """What the user asked for; `command` is what they typed, to tell them what to type next."""

    force: tuple[str, ...] = ()
    only: str | None = None
    until: str | None = None
    from_run: str | None = None
    command: str = "rlmec run"


@dataclass(frozen=True)
class Call:
    """One stage as the flow calls it: `label` is unique in the flow, `stage` names the function."""

    label: str
    stage: str
    options: BaseModel
    seed: int
    seeded: bool
    inputs: Mapping[str, Output]

    @property
    def settings(self) -> str:
        """The hash of the options and, for a seeded stage, the seed."""
        return settings(self.options, self.seed if self.seeded else None)

    @classmethod
    def of(
        cls, run_seed: int, stage: str, options: BaseModel, label: str | None, seeded: bool, inputs: Mapping
    ) -> "Call":
        """A call as a line of the flow writes it; inputs that are None are left out."""
        seed = stage_seed(run_seed if seeded else 0, stage)
        given = {name: output for name, output in inputs.items() if output is not None}
        return cls(label or stage, stage, options, seed, seeded, given)


class Promised(dict[str, Output]):
    """The outputs of a stage that has not run: any name gives an Output that only says where from."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    def __missing__(self, name: str) -> Output:
        return Output(None, "", "", stage=self.label, name=name)


class Trace:
    """Takes the flow's place of a Pipeline and writes down its calls."""

    def __init__(self, run_seed: int) -> None:
        self.run_seed = run_seed
        self.calls: dict[str, Call] = {}

    def __call__(
        self, stage: str, options: BaseModel, *, label: str | None = None, seeded: bool = True, **inputs: Any
    ) -> Promised:
        call = Call.of(self.run_seed, stage, options, label, seeded, inputs)
        self.calls[call.label] = call
        return Promised(call.label)

    def external(self, name: str, chat_template: bool = True) -> Output:
        """A checkpoint of the user's: only its name matters here."""
        return Output(None, "", "", name=name if chat_template else f"{name}{PLAIN}")


def trace(method: Callable[[Any, Any], Any], config: Any) -> dict[str, Call]:
    """The stages that `method` calls, in order, by label."""
    tracer = Trace(config.seed)
    method(tracer, config)
    return tracer.calls


@dataclass(frozen=True)
class Rules:
    """How to treat each stage: those not `needed` are skipped, those `taken` come from the run named."""

    needed: frozenset[str]
    forced: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    last: str | None = None
    taken: Mapping[str, str] = field(default_factory=dict)


def rules(calls: Mapping[str, Call], control: Control, store: "Store", preset: str | None) -> Rules:
    """The rules that the user's wishes make; UserError for a stage or run that does not exist, and for an earlier run
    of another preset: what comes of it would be registered under this one's name."""
    if control.only and control.until:
        raise UserError("--only and --until exclude each other: --only already stops after its stage")
    forced = frozenset(label for name in control.force for label in matching(calls, name, "--force"))
    only = frozenset(matching(calls, control.only, "--only")) if control.only else frozenset()
    order = list(calls)
    last = order[-1]
    if control.until or only:
        asked = matching(calls, control.until, "--until") if control.until else only
        last = max(asked, key=order.index)
    needed = closure(calls, only) if only else set(order[: order.index(last) + 1])
    useless = sorted(forced - needed)
    if useless:
        raise UserError(f"--force {useless[0]} has no effect: that stage does not run here")
    taken = {}
    if control.from_run:
        run = store.pipeline(control.from_run)
        theirs = run.data.tags.get("rlmec.preset")
        if theirs != preset:
            raise UserError(
                f"--from-run {control.from_run}: that run is of preset {theirs}, not of {preset}; leave the preset out"
            )
        taken = taken_from(calls, store, run, only | forced)
    return Rules(frozenset(needed), forced, only, last, taken)


def matching(calls: Mapping[str, Call], name: str, option: str) -> list[str]:
    """The labels that a name means: a label itself, or the stage's name for all of its labels."""
    found = [call.label for call in calls.values() if name in (call.label, call.stage)]
    if not found:
        names = dict.fromkeys(name for call in calls.values() for name in (call.stage, call.label))
        raise UserError(f"{option} {name}: this run has no such stage; {suggestion(name, names)}")
    return found


def closure(calls: Mapping[str, Call], labels: frozenset[str]) -> set[str]:
    """The labels and all stages that they read from, directly or not."""
    waiting, found = list(labels), set[str]()
    while waiting:
        label = waiting.pop()
        found.add(label)
        waiting += [output.stage for output in calls[label].inputs.values() if output.stage]
    return found


def taken_from(calls: Mapping[str, Call], store: "Store", run: Run, named: frozenset[str]) -> dict[str, str]:
    """The stage runs of an earlier pipeline up to the point from which this one goes its own way."""
    theirs = stage_runs(run)
    taken = {}
    for label, call in calls.items():
        if label in named or (not named and (label not in theirs or differs(store, call, theirs[label]))):
            break
        if label in theirs:
            taken[label] = theirs[label]
    return taken


def stage_runs(run: Run) -> dict[str, str]:
    """The ids of a pipeline's stage runs, by label."""
    prefix = "rlmec.stage."
    return {tag.removeprefix(prefix): text for tag, text in run.data.tags.items() if tag.startswith(prefix)}


def pair_credit(run: Run) -> str | None:
    """The credit source of a run of stage `pair`, where its pairs have credit."""
    named = run.data.params.get("credit", "None")
    return None if named == "None" else str(named)


def differs(store: "Store", call: Call, run_id: str) -> bool:
    """Whether a stage's options, seed or checkpoint of the user's are others than in its earlier run."""
    tags = store.client.get_run(run_id).data.tags
    outside = {name: output for name, output in call.inputs.items() if not output.stage}
    return tags.get("rlmec.settings") != call.settings or any(
        tags.get(f"rlmec.input.{name}") != source_of(output) for name, output in outside.items()
    )


def source_of(output: Output) -> str:
    """What a lineage tag says of an input: the run it came from, or the user's checkpoint."""
    return output.run_id or f"external:{output.name}"
