"""What assigns credit to a completion's tokens: one file a credit source, its name is its key.

A module `tasks/credit/<name>.py` has

    credit(options, request) -> Iterator[TokenCredit]

and, where it has use for them,

    Options          its settings, a pydantic model
    NEEDS            the inputs that it reads besides policy, samples and problems: "reward_model", "edits", or a model
                     that the recipe trains for it (upstream in `flows/config.py`)
    LEAST_SAMPLES    of a problem, that it compares
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from models.deferred import torch
from tasks import parts
from tasks.errors import UserError


@dataclass(frozen=True)
class Request:
    """What a credit source is asked about. inputs: policy (folder), samples and problems (whole tables), and those of
    NEEDS; samples: the rows to be credited; problems: theirs, by id; batch_size: sequences read at once."""

    inputs: Mapping[str, Path]
    samples: Sequence[Mapping[str, Any]]
    problems: Mapping[str, Mapping[str, Any]]
    batch_size: int
    at: torch.device


@dataclass(frozen=True)
class TokenCredit:
    """For the sample at position `row`: a probability and a reward for each completion token. A source without
    probabilities of its own gives none."""

    row: int
    rewards: list[float]
    probabilities: list[float] | None = None


class CreditOptions(BaseModel, extra="forbid", frozen=True):
    """The choice of a credit source, for a stage's options to build on."""

    credit: str | None = Field(None, description="the credit source, a file of tasks/credit or a path; none if unset")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="the credit source's own options", validate_default=True
    )
    batch_size: int = Field(16, gt=0, description="sequences read at once")

    def parts(self) -> list[str]:
        """The modules that these options name by key."""
        return [parts.module_name(__name__, self.credit)] if self.credit else []

    @field_validator("settings")
    @classmethod
    def with_defaults(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """The settings with their defaults, so that equal ones have equal keys."""
        if given and info.data.get("credit", "refused") is None:
            raise ValueError("settings need a credit source: name it as credit")
        return parts.with_defaults(__name__, info.data.get("credit"), given, "credit source")

    @property
    def needs(self) -> tuple[str, ...]:
        """What the credit source reads besides policy, samples and problems."""
        return tuple(getattr(source(self.credit), "NEEDS", ())) if self.credit else ()

    @property
    def least_samples(self) -> int:
        """How many samples of a problem the credit source compares at least."""
        return int(getattr(source(self.credit), "LEAST_SAMPLES", 1)) if self.credit else 1

    def give(
        self,
        inputs: Mapping[str, Path],
        samples: Sequence[Mapping[str, Any]],
        problems: Mapping[str, Mapping[str, Any]],
        at: torch.device,
    ) -> list[TokenCredit]:
        """The credit of each sample, in order. samples: rows; problems: by id."""
        assert self.credit is not None
        request = Request(inputs, samples, problems, self.batch_size, at)
        own = parts.options(__name__, self.credit, self.settings, "credit source")
        given = sorted(source(self.credit).credit(own, request), key=lambda one: one.row)
        check(self.credit, given, samples)
        return given


def check(name: str, given: Sequence[TokenCredit], samples: Sequence[Mapping[str, Any]]) -> None:
    """UserError where a credit source, which may be a user's own, does not give each sample's every token a number."""
    rows = [one.row for one in given]
    if rows != list(range(len(samples))):
        raise UserError(
            f"credit source {name}: each of {len(samples)} samples needs credit once, and it gave {len(rows)} rows, "
            f"{len(set(rows))} of them different"
        )
    for one, sample in zip(given, samples, strict=True):
        tokens = len(sample["completion_ids"])
        for what, values in (("rewards", one.rewards), ("probabilities", one.probabilities)):
            if values is not None and (len(values) != tokens or not all(map(math.isfinite, values))):
                raise UserError(
                    f"credit source {name}, sample {sample.get('sample_id', one.row)}: {tokens} tokens need as many "
                    f"finite {what}, and it gave {len(values)}"
                )


def source(name: str) -> ModuleType:
    """The module of a credit source."""
    return parts.get(__name__, name, "credit source")
