"""How the sequences of a batch lie in the tensors that a model reads: what several of them begin with is read once.

A sample and its rewrite share a prompt, and under the minimum-edit constraint most of a solution; the K samples of a
problem share its prompt. Such sequences lie in one row, as a tree whose branches do not see each other:

    1 2 3 4 5      lie as   1 2 3 4 5 6 7      at the positions   0 1 2 3 4 3 4,
    1 2 3 6 7               where 6 and 7 attend to 1 2 3, and not to 4 5

The arithmetic of each token is what it is without the others (tree attention, as in Miao et al., arXiv 2305.09781,
there for decoding). A model must let itself be told positions and which places attend to which: `shared_width` tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.deferred import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

Ids = Sequence[int]


@dataclass(frozen=True)
class Layout:
    """What a model reads, and which of its outputs are wanted.

    tokens: (R, L) int64, padded on the right. positions (R, L) int64 and attention (R, 1, L, L) bool, whether the
    second place is seen from the first: None where each row is one sequence, which a causal model reads as it is.
    predictors, targets: (N,) int64, the places (of R · L) at which a completion's token is predicted, and that token;
    what is shared is there once. terms: (M,) int64, which of the N each of the batch's completion tokens is, sequence
    after sequence.
    """

    tokens: Tensor
    positions: Tensor | None
    attention: Tensor | None
    predictors: Tensor
    targets: Tensor
    terms: Tensor

    @property
    def arguments(self) -> dict[str, Tensor]:
        """The arguments of a model's forward pass."""
        given = {"input_ids": self.tokens, "attention_mask": self.attention, "position_ids": self.positions}
        return {name: tensor for name, tensor in given.items() if tensor is not None}


def lay_out(rows: Sequence[Sequence[Ids]], starts: Sequence[Sequence[int]], at: torch.device) -> Layout:
    """rows: the sequences of each row. starts: where the completion of each begins."""
    trees = [Tree(sequences) for sequences in rows]
    length = max(len(tree.tokens) for tree in trees)
    tokens = torch.zeros(len(trees), length, dtype=torch.long)
    predictors, targets = [], []
    for row, (tree, begin) in enumerate(zip(trees, starts, strict=True)):
        tokens[row, : len(tree.tokens)] = torch.tensor(tree.tokens)
        for path, start in zip(tree.paths, begin, strict=True):
            predictors += [row * length + place for place in path[start - 1 : -1]]
            targets += [row * length + place for place in path[start:]]
    places, terms = torch.tensor(targets).unique(return_inverse=True)
    before = torch.empty_like(places)
    before[terms] = torch.tensor(predictors)
    positions = attention = None
    if any(len(sequences) > 1 for sequences in rows):
        positions = torch.zeros_like(tokens)
        attention = torch.eye(length, dtype=torch.bool).repeat(len(trees), 1, 1, 1)  # padding sees itself, not nothing
        for row, tree in enumerate(trees):
            tree.write(positions[row], attention[row, 0])
        positions, attention = positions.to(at), attention.to(at)
    return Layout(tokens.to(at), positions, attention, before.to(at), tokens.flatten()[places].to(at), terms.to(at))


class Tree:
    """The sequences of one row: `tokens` in the order in which they lie there, and for each sequence, as given, its
    path: the places of its tokens."""

    def __init__(self, sequences: Sequence[Ids]) -> None:
        self.tokens: list[int] = []
        self.paths: list[list[int]] = [[] for _ in sequences]
        self.branches: list[tuple[list[int], int]] = []  # the places a branch grows from, and where it begins
        path: list[int] = []
        for number, kept in alphabetically(sequences):
            first = len(self.tokens)
            self.tokens += sequences[number][kept:]
            self.branches.append((path[:kept], first))
            path = self.paths[number] = [*path[:kept], *range(first, len(self.tokens))]

    def write(self, positions: Tensor, attention: Tensor) -> None:
        """Write the positions, (L,), and what is seen from where, (L, L)."""
        ends = [first for _, first in self.branches[1:]] + [len(self.tokens)]
        for (before, first), end in zip(self.branches, ends, strict=True):
            positions[first:end] = torch.arange(len(before), len(before) + end - first)
            attention[first:end, before] = True
            attention[first:end, first:end] = torch.ones(end - first, end - first).tril().bool()


def common(one: Ids, other: Ids) -> int:
    """With how many equal tokens two sequences begin."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def alphabetically(sequences: Sequence[Ids]) -> Iterator[tuple[int, int]]:
    """The number of each sequence, and how many tokens it shares with the one before it: in alphabetical order that is
    the most that it shares with any of those before."""
    last: Ids = ()
    for number in sorted(range(len(sequences)), key=lambda number: list(sequences[number])):
        yield number, common(last, sequences[number])
        last = sequences[number]


def tree_size(sequences: Sequence[Ids]) -> int:
    """How many tokens a row of these sequences has."""
    return sum(len(sequences[number]) - kept for number, kept in alphabetically(sequences))


def cost(length: int, width: int, is_tree: bool) -> float:
    """What reading a row takes, in tokens of a short one: a layer of a transformer multiplies about 26 · width² numbers
    for a token, and 4 · width more for each token of its row. That takes half as long again where a mask says what is
    seen, as measured on a CPU."""
    return length * (1 + (1.5 if is_tree else 1.0) * length / (6.5 * width))


def shared_width(model: PreTrainedModel) -> int | None:
    """The width of a model that reads trees as it reads sequences, None for one that does not: one that looks at a
    window or keeps a state, that counts positions in its own way, or drops out at random. It is tried on two short
    sequences; what a window does would not show there, so configurations with one are refused."""
    from models.batch import Example, collate
    from models.logprobs import token_logprobs

    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    has_window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    if kinds != {"full_attention"} or has_window or config._attn_implementation != "sdpa":
        return None
    ids = [[token % config.vocab_size for token in ids] for ids in ([1, 2, 3, 4, 5], [1, 2, 3, 6, 7, 8])]
    examples = [Example(one[:2], one[2:]) for one in ids]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            apart, together = (token_logprobs(model, collate(rows, model.device)) for rows in (examples, [examples]))
    except (TypeError, ValueError, RuntimeError):  # it does not take the arguments
        return None
    return int(config.hidden_size) if torch.allclose(apart, together, atol=1e-4) else None
