"""The verifier: whether a completion's final answer is right. Right and wrong come from here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.answers import Kind, extract_answer, same_answer


@dataclass(frozen=True)
class Verdict:
    """The answer that a completion states (None where it states none), and whether it is the problem's."""

    extracted_answer: str | None
    is_right: bool


def verdict(completion: str, problem: Mapping[str, Any]) -> Verdict:
    """Judge a whole completion against a row of the problems table."""
    kind: Kind = "choice" if problem["options"] else "math"
    found = extract_answer(completion, kind, problem["options"])
    return Verdict(found, found is not None and same_answer(found, problem["answer"], kind, problem["options"]))
