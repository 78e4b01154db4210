"""What there is, a line each: presets, recipes, stages, the parts that are files of their own, and the runs in the
store."""

import ast
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run

HERE = Path(__file__).parent
STAGES = (
    "prepare", "warm_up", "sample", "teach", "train_reward_model", "rewrite", "align", "score",
    "pair", "train_policy", "evaluate", "compare_predictions", "measure_credit",
)  # fmt: skip


def lines(kind: str) -> list[str]:
    """The names of a kind, each with its description in a second column."""
    named = list(KINDS[kind]())
    width = max((len(name) for name, _ in named), default=0)
    return [f"{name:<{width}}  {text}".rstrip() for name, text in named]


def described(folder: str) -> Iterator[tuple[str, str]]:
    """The TOML files of a folder and what each says of itself."""
    for path in sorted((HERE / folder).glob("*.toml")):
        yield path.stem, tomllib.loads(path.read_text()).get("description", "")


def stages() -> Iterator[tuple[str, str]]:
    """The stages in the method's order, with the first line of each module, read without importing it."""
    for name in STAGES:
        text = ast.get_docstring(ast.parse((HERE.parent / "tasks" / f"{name}.py").read_bytes())) or ""
        yield name, first_sentence(text)


def datasets() -> Iterator[tuple[str, str]]:
    """The datasets and what each is."""
    from tasks import datasets

    for name in datasets.names():
        yield name, datasets.describe(name)


def teachers() -> Iterator[tuple[str, str]]:
    """The teachers and the first line of each."""
    yield from documented("tasks.teachers", "teacher")


def samplers() -> Iterator[tuple[str, str]]:
    """The samplers and the first line of each."""
    yield from documented("tasks.samplers", "sampler")


def credits() -> Iterator[tuple[str, str]]:
    """The credit sources and the first line of each."""
    yield from documented("tasks.credit", "credit source")


def objectives() -> Iterator[tuple[str, str]]:
    """The objectives and the first line of each."""
    yield from documented("models.objectives", "objective")


def documented(package: str, kind: str) -> Iterator[tuple[str, str]]:
    """The parts of a package's folder and the first line of each."""
    from tasks import parts

    for name in parts.names(package):
        yield name, first_sentence(parts.get(package, name, kind).__doc__ or "")


def runs() -> Iterator[tuple[str, str]]:
    """The pipelines, comparisons and rounds in the store, newest first: a pipeline with its stages in the order in
    which they were started, the others with their pipelines."""
    from flows.store import open_store

    store = open_store()
    stages = sorted(store.search("tags.`rlmec.kind` = 'stage'"), key=lambda run: run.info.start_time)
    pipelines = list(store.search("tags.`rlmec.kind` = 'pipeline'"))
    wholes = (*store.search("tags.`rlmec.kind` = 'comparison'"), *store.search("tags.`rlmec.kind` = 'round'"))
    for run in sorted((*pipelines, *wholes), key=lambda run: run.info.start_time, reverse=True):
        own, tags = run.info.run_id, run.data.tags
        if "mlflow.parentRunId" in tags:
            continue
        yield run_line(run)
        parts = [part for part in pipelines if part.data.tags.get("mlflow.parentRunId") == own]
        for part in sorted(parts, key=lambda part: part.info.start_time):
            yield run_line(part, "  ")
        linked = {run_id for tag, run_id in tags.items() if tag.startswith("rlmec.stage.")}
        for stage in stages:
            is_own = stage.data.tags.get("mlflow.parentRunId") == own
            if is_own or stage.info.run_id in linked:
                yield f"  {stage.info.run_name}", stage_line(stage, is_own)


def run_line(run: "Run", indent: str = "") -> tuple[str, str]:
    """Name, state and id of a pipeline or comparison."""
    return f"{indent}{run.info.run_name}", f"{run.info.status:<8}  run {run.info.run_id[:8]}"


def stage_line(stage: "Run", is_own: bool) -> str:
    """State, seconds, key and run of a stage, and whether a pipeline computed it or found it."""
    tags = stage.data.tags
    seconds = f"{float(tags['rlmec.seconds']):.1f} s" if "rlmec.seconds" in tags else ""
    how = "" if is_own else "  reused"
    return f"{stage.info.status:<8}  run {stage.info.run_id[:8]}  key {tags['rlmec.key'][:8]}  {seconds:>8}{how}"


def first_sentence(text: str) -> str:
    """The first line of a docstring, without the `Stage `x`:` that it may begin with."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line.split(": ", 1)[1] if line.startswith("Stage `") and ": " in line else line


KINDS: dict[str, Callable[[], Iterator[tuple[str, str]]]] = {
    "presets": lambda: described("presets"),
    "recipes": lambda: described("recipes"),
    "stages": stages,
    "datasets": datasets,
    "teachers": teachers,
    "samplers": samplers,
    "credits": credits,
    "objectives": objectives,
    "runs": runs,
}
