"""What there is, a line each: presets, recipes, stages, datasets and teachers."""

import ast
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
STAGES = (
    "prepare", "warm_up", "sample", "teach", "train_reward_model", "rewrite", "align", "score",
    "train_policy", "evaluate",
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
    from tasks import teachers

    for name in teachers.names():
        yield name, first_sentence(teachers.get(name).__doc__ or "")


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
}
