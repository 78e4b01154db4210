"""Parts that are chosen by key: a dataset, a teacher, a sampler, a credit source, an objective. Each is one file of
its folder, its name is its key, and a leading underscore marks a piece that several of them share. The path of a
Python file anywhere else is a key, too: it is code, and runs with the rights of whoever names it.

    get("tasks.credit", "grm")                      the module tasks/credit/grm.py
    get("tasks.credit", "mine/random_tokens.py")    the module in that file
    settings(Objective, {"beta": 0.2}, "pairwise")  an instance of its settings, checked
    options("tasks.credit", "grm", {"beta": 0.4}, "credit source")    of the class `Options` in its module
"""

import hashlib
import importlib.util
import pkgutil
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from tasks.errors import UserError
from tasks.nearest import suggestion

HAS = {  # what a file of each kind must have
    "tasks.datasets": ("SOURCE", "LICENCE", "SPLITS", "rows"),
    "tasks.teachers": ("candidates or rewrites",),
    "tasks.credit": ("credit",),
    "tasks.samplers": ("Options", "completions"),
    "models.objectives": ("Objective",),
}


class NoOptions(BaseModel, extra="forbid", frozen=True):
    """The settings of a part that has none."""


def names(package: str) -> list[str]:
    """The keys of the parts in a package's folder, in alphabetical order."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def get(package: str, name: str, kind: str) -> ModuleType:
    """The module of a part; a UserError names the nearest, or all there are, where there is none of this name."""
    if is_file(name):
        return from_file(package, place(name), kind)
    known = names(package)
    if name not in known:
        raise UserError(f"there is no {kind} {name!r}: {suggestion(name, known)}")
    return importlib.import_module(f"{package}.{name}")


def is_file(name: str) -> bool:
    """Whether a key is the path of a Python file."""
    return name.endswith(".py")


def place(name: str) -> Path:
    """The file of a key that is a path; UserError where there is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"{name}: there is no such file")
    return path.resolve()


def short(name: str) -> str:
    """A part's name in tables and metrics: of a file its name without the folder."""
    return Path(name).stem if is_file(name) else name


def module_name(package: str, name: str) -> str:
    """What a stage's key finds the code of a part by: a module's name, or the path of a file."""
    return str(place(name)) if is_file(name) else f"{package}.{name}"


@cache
def from_file(package: str, path: Path, kind: str) -> ModuleType:
    """The module in a file, loaded once a process; UserError where it cannot be, or lacks what its kind must have."""
    name = f"_part_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None  # as every file that ends in .py has
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # a dataclass looks its own module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path}: cannot be loaded as a {kind} ({type(error).__name__}: {error})") from error
    if lacking := [wanted for wanted in HAS[package] if not any(hasattr(module, one) for one in wanted.split(" or "))]:
        raise UserError(f"{path}: a {kind} has {', '.join(HAS[package])}; this file lacks {', '.join(lacking)}")
    return module


def settings(kind: type[Any], given: Any, where: str) -> Any:
    """`given` (a table, or an instance already) as an instance of a part's settings, a dataclass or pydantic model.

    Raises ValueError, in one line that names the setting, for one that it does not take or a value that does not fit.
    """
    if isinstance(given, kind):
        return given
    try:
        return holder(kind).model_validate({"it": given}).it  # type: ignore
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join([where, *(str(part) for part in problem["loc"][1:])])
        unknown = problem["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        message = problem["msg"].removeprefix("Value error, ")
        if unknown:
            known = kind.model_fields if issubclass(kind, BaseModel) else [field.name for field in fields(kind)]
            near = f"; {suggestion(str(problem['loc'][1]), known)}" if len(problem["loc"]) == 2 else ""
            message = f"there is no such setting{near}"
        raise ValueError(f"{name}: {message}") from error


def options_class(package: str, name: str, kind: str) -> type[BaseModel]:
    """The class of the settings of a part that may have some."""
    own: type[BaseModel] = getattr(get(package, name, kind), "Options", NoOptions)
    return own


def options(package: str, name: str, given: Mapping[str, Any], kind: str) -> Any:
    """The settings of a part as an instance of its class; ValueError as `settings`."""
    return settings(options_class(package, name, kind), given, "settings")


def with_defaults(package: str, name: str | None, given: dict[str, Any], kind: str) -> dict[str, Any]:
    """The settings of a part with their defaults, so that equal ones have equal keys; as they are where there is no
    part: its name was refused, which is reported."""
    full: dict[str, Any] = given if name is None else options(package, name, given, kind).model_dump()
    return full


def unkeyed(package: str, name: str, kind: str) -> dict[str, set[str]]:
    """The settings of a part that change no result, as pydantic's `exclude`."""
    return {"settings": set(getattr(options_class(package, name, kind), "unkeyed", ()))}


@cache
def holder(kind: type[Any]) -> type[BaseModel]:
    """A model with one field of this kind: pydantic checks a plain dataclass only as a part of a model."""
    made: type[BaseModel] = create_model("Holder", __config__=ConfigDict(extra="forbid"), it=(kind, ...))
    return made
