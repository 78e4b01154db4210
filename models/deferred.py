"""torch, imported when something of it is first used. That takes two seconds, and a run that is all in the store needs
only the options of its stages and the settings of its objectives, which stand in modules that compute with torch.

    from models.deferred import torch

What annotations alone name is imported under TYPE_CHECKING.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Deferred:
    """Stands for a module, whose attributes are its own."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._module), name)


if TYPE_CHECKING:
    import torch as torch
else:
    torch = Deferred("torch")


def inference(function: Callable[P, T]) -> Callable[P, T]:
    """`torch.inference_mode()` as a decorator that asks for torch only when the function is called."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        return torch.inference_mode()(function)(*args, **kwargs)

    return called
