"""The rows that train a model, and the padded tensors made of them: one batch for every objective.

Column t of every (B, T) tensor is about token t itself: its log-probability given the tokens before it, its
scores, its step. Rows are padded on the right; masks come from lengths, never from comparing ids with a padding
id, which may equal EOS. What the model reads is another matter: there examples may share what they begin with
(`models/layout.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.deferred import torch
from models.layout import Layout, cost, lay_out, tree_size

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Example:
    """One prompt and completion, and what the objectives need to know of it; all but the ids is optional.

    scores: numbers by name, one for each completion token: "reward" R_t, "weight" (of imitation) w_t, or another that
    an objective reads. reference_logprobs: log π_ref(y_t). steps: the line of the completion that each
    token stands in, from 0. edited: of a rewrite, the tokens marked by an edit (`tasks/align.py`). group: a number for
    the problem. is_sample: drawn from the reference policy, as a rewrite or a reference solution is not.
    is_right: the verifier's verdict. pair: a number that the two halves of a pair share; the preferred half is the
    one that is not `is_sample`.
    """

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    reference_logprobs: Sequence[float] | None = None
    steps: Sequence[int] | None = None
    edited: Sequence[bool] | None = None
    group: int = -1
    is_sample: bool = False
    is_right: bool = True
    pair: int | None = None

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)

    @property
    def ids(self) -> list[int]:
        return [*self.prompt_ids, *self.completion_ids]


Row = list[Example]  # examples that a model reads in one row, as a tree


@dataclass(frozen=True)
class Batch:
    """tokens, steps (B, T) int64; completion, edited (B, T) bool; reference_logprobs and each of scores (B, T) fp32;
    group (B,) int64; is_sample, is_right (B,) bool; pairs (P, 2) int64: the rows of the preferred and the rejected half
    of each pair. All are 0 or false outside completions and where an example says nothing. layout: what a model reads.
    """

    tokens: Tensor
    completion: Tensor
    scores: Mapping[str, Tensor]
    reference_logprobs: Tensor
    steps: Tensor
    edited: Tensor
    group: Tensor
    is_sample: Tensor
    is_right: Tensor
    pairs: Tensor
    layout: Layout

    @property
    def sampled(self) -> Tensor:
        """The completion tokens of samples, (B, T) bool."""
        return self.completion & self.is_sample[:, None]

    def score(self, name: str) -> Tensor:
        """The scores of one name, (B, T); zeros where no example has any."""
        return self.scores[name] if name in self.scores else torch.zeros_like(self.reference_logprobs)


def collate(given: Sequence[Example | Row], at: torch.device) -> Batch:
    """Pad examples on the right to the longest; raises ValueError on an empty prompt or completion. given: examples,
    each in a row of its own, or rows of several."""
    rows = [one if isinstance(one, list) else [one] for one in given]
    examples = [example for row in rows for example in row]
    if any(not example.prompt_ids or not example.completion_ids for example in examples):
        raise ValueError("an example needs at least one prompt token and one completion token")

    def columns(rows: Sequence[Sequence[float] | None], kind: torch.dtype) -> Tensor:
        """(B, T): what each row has for its completion tokens, at their places."""
        tensor = torch.zeros((len(examples), max(map(len, examples))), dtype=kind)
        for number, (example, values) in enumerate(zip(examples, rows, strict=True)):
            if values is not None:
                tensor[number, len(example.prompt_ids) : len(example)] = torch.tensor(values, dtype=kind)
        return tensor.to(at)

    def each(values: Sequence[Any], kind: torch.dtype) -> Tensor:
        return torch.tensor(values, dtype=kind, device=at)

    tokens = columns([example.completion_ids for example in examples], torch.long)
    for number, example in enumerate(examples):
        tokens[number, : len(example.prompt_ids)] = each(example.prompt_ids, torch.long)
    sequences = [[example.ids for example in row] for row in rows]
    starts = [[len(example.prompt_ids) for example in row] for row in rows]
    names = sorted({name for example in examples for name in example.scores})
    return Batch(
        tokens=tokens,
        completion=columns([[1] * len(example.completion_ids) for example in examples], torch.bool),
        scores={name: columns([example.scores.get(name) for example in examples], torch.float) for name in names},
        reference_logprobs=columns([example.reference_logprobs for example in examples], torch.float),
        steps=columns([example.steps for example in examples], torch.long),
        edited=columns([example.edited for example in examples], torch.bool),
        group=each([example.group for example in examples], torch.long),
        is_sample=each([example.is_sample for example in examples], torch.bool),
        is_right=each([example.is_right for example in examples], torch.bool),
        pairs=each(pairs(examples), torch.long).view(-1, 2),
        layout=lay_out(sequences, starts, at),
    )


def pairs(examples: Sequence[Example]) -> list[tuple[int, int]]:
    """The rows of the preferred and the rejected half of each pair."""
    halves = [(row, example) for row, example in enumerate(examples) if example.pair is not None]
    rejected = {example.pair: row for row, example in halves if example.is_sample}
    return [
        (row, rejected[example.pair]) for row, example in halves if not example.is_sample and example.pair in rejected
    ]


def units(examples: Sequence[Example]) -> list[list[Example]]:
    """What must stay together, the longest first: the halves of a pair, and every other example alone."""
    found: dict[object, list[Example]] = {}
    for number, example in enumerate(examples):
        found.setdefault(("alone", number) if example.pair is None else example.pair, []).append(example)
    return sorted(found.values(), key=lambda unit: max(map(len, unit)), reverse=True)


def blocks(examples: Sequence[Example], tokens: int, width: int | None) -> list[tuple[int, list[Row]]]:
    """The rows that must stay together, each with the length of the longest: those of a unit, or one row of several
    units that begin alike, where it costs less than a row for each and has at most `tokens` tokens."""
    if width is None:
        return [(max(map(len, unit)), [[example] for example in unit]) for unit in units(examples)]

    def price(size: int, row: Row) -> float:
        return cost(size, width, is_tree=len(row) > 1)

    rows: list[tuple[int, Row]] = []
    for unit in sorted(units(examples), key=lambda unit: unit[0].ids):
        size = length(unit)
        if rows:
            before, row = rows[-1]
            both = [*row, *unit]
            shared = length(both)
            if shared <= tokens and price(shared, both) < price(before, row) + price(size, unit):
                rows[-1] = shared, both
                continue
        rows.append((size, unit))
    return [(size, [row]) for size, row in rows]


def length(row: Row) -> int:
    """The tokens of a row."""
    return tree_size([example.ids for example in row])


def micro_batches(examples: Sequence[Example], tokens: int, width: int | None = None) -> list[list[Row]]:
    """Split examples into batches of at most `tokens` padded tokens, or of one example or pair; similar lengths
    together. The halves of a pair stay together.

    width: of a model that reads trees (`models/layout.py`); for it examples that begin alike share rows."""
    batches: list[list[Row]] = []
    longest = 0
    for size, block in sorted(blocks(examples, tokens, width), key=lambda sized: sized[0], reverse=True):
        if batches and (len(batches[-1]) + len(block)) * longest <= tokens:
            batches[-1] += block
        else:
            batches.append(list(block))
            longest = size
    return batches
