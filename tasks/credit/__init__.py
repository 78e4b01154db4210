"""What assigns credit to a sample's tokens: one file a credit source, its name is its key.

A module `tasks/credit/<name>.py` has

    Options                       its settings, a pydantic model
    credit(options, inputs, samples, problems, batch_size, at) -> Iterator[TokenCredit]
"""

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from tasks.errors import UserError


@dataclass(frozen=True)
class TokenCredit:
    """For the sample at position `row`: a probability and a reward for each completion token."""

    row: int
    probabilities: list[float]
    rewards: list[float]


def names() -> list[str]:
    """The credit sources there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get(name: str) -> ModuleType:
    """The module of a credit source; a UserError names the nearest where there is none of that name."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0)
        raise UserError(f"there is no credit source {name!r}; the nearest is {near[0]!r}")
    return importlib.import_module(f"tasks.credit.{name}")
