"""Parts that are chosen by key: a dataset, a teacher, a credit source, an objective. Each is one file of its folder,
its name is its key, and a leading underscore marks a piece that several of them share.

    get("tasks.credit", "grm")                      the module tasks/credit/grm.py
    settings(Objective, {"beta": 0.2}, "pairwise")  an instance of its settings, checked
"""

import importlib
import pkgutil
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from tasks.errors import UserError
from tasks.nearest import suggestion


def names(package: str) -> list[str]:
    """The keys of the parts in a package's folder, in alphabetical order."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def get(package: str, name: str, kind: str) -> ModuleType:
    """The module of a part; a UserError names the nearest, or all there are, where there is none of this name."""
    known = names(package)
    if name not in known:
        raise UserError(f"there is no {kind} {name!r}: {suggestion(name, known)}")
    return importlib.import_module(f"{package}.{name}")


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
        message = "there is no such setting" if unknown else problem["msg"].removeprefix("Value error, ")
        raise ValueError(f"{name}: {message}") from error


@cache
def holder(kind: type[Any]) -> type[BaseModel]:
    """A model with one field of this kind: pydantic checks a plain dataclass only as a part of a model."""
    made: type[BaseModel] = create_model("Holder", __config__=ConfigDict(extra="forbid"), it=(kind, ...))
    return made
