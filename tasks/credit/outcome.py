"""Credit by the outcome alone: every token of a sample earns what its final answer earned.

    R_t = right in a right sample, wrong in a wrong one (by default +1 and −1)

The instance-level reward that RLMEC's paper compares with (arXiv 2401.06081, "vanilla PPO").
"""

from collections.abc import Iterator

from pydantic import BaseModel, Field

from tasks.credit import Request, TokenCredit


class Options(BaseModel, extra="forbid", frozen=True):
    right: float = Field(1.0, description="reward of every token of a right sample")
    wrong: float = Field(-1.0, description="reward of every token of a wrong sample")


def credit(options: Options, request: Request) -> Iterator[TokenCredit]:
    """Yields one TokenCredit a sample; nothing is loaded."""
    for row, sample in enumerate(request.samples):
        reward = options.right if sample["is_right"] else options.wrong
        yield TokenCredit(row, [reward] * len(sample["completion_ids"]))
