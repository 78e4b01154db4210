"""What assigns credit to a sample's tokens: one file a credit source, its name is its key.

A module `tasks/credit/<name>.py` has

    LEAST_SAMPLES                 of a problem, where it compares them (1 if it has none)
    NEEDS                         the inputs that it reads besides samples and problems, such as ("reward_model",)
    Options                       its settings, a pydantic model
    credit(options, inputs, samples, problems, batch_size, at) -> Iterator[TokenCredit]
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenCredit:
    """For the sample at position `row`: a probability and a reward for each completion token. A source without
    probabilities of its own gives none."""

    row: int
    rewards: list[float]
    probabilities: list[float] | None = None
