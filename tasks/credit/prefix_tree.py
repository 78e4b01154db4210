"""Credit by the tree that a problem's samples form: a token earns what it changed in the chances of success.

    A_t = (r − mean + V(s_t y_t) − V(s_t)) / (std + 1e-4)

V(s) is the mean outcome of the problem's samples that begin with the tokens s, so where no samples part it does not
change and A_t is that of `group`. TEMPO (Tran, Yao and Yu, arXiv 2509.18314). mean, std and the treatment of equal
texts are those of `group`.

Worked example, two samples of a problem: "a b" is right, "a c" wrong. mean = 0.5, std = 0.707; V(∅) = V(a) = 0.5,
V(a b) = 1, V(a c) = 0. So in the right one a earns 0.5 / 0.707 = 0.707 and b earns (0.5 + 0.5) / 0.707 = 1.414; in the
wrong one a earns −0.707 and c −1.414.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tasks.credit import Request, TokenCredit
from tasks.credit._groups import groups, scale
from tasks.parts import NoOptions

LEAST_SAMPLES = 2


class Tree:
    """The mean outcome of the completions that pass through each prefix."""

    def __init__(self, group: Sequence[Mapping[str, Any]]) -> None:
        self.children: dict[tuple[int, int], int] = {}  # (node, token) → node; the root is 0
        self.totals, self.counts = [0.0], [0]
        for sample in group:
            for node in self.path(sample["completion_ids"]):
                self.totals[node] += sample["outcome"]
                self.counts[node] += 1

    def path(self, ids: Sequence[int]) -> list[int]:
        """The nodes of a completion's prefixes, from the empty one to the whole."""
        nodes = [0]
        for token in ids:
            child = self.children.setdefault((nodes[-1], token), len(self.counts))
            if child == len(self.counts):
                self.totals.append(0.0)
                self.counts.append(0)
            nodes.append(child)
        return nodes

    def values(self, ids: Sequence[int]) -> list[float]:
        """V of a completion's prefixes, from the empty one to the whole: a number more than it has tokens."""
        return [self.totals[node] / self.counts[node] for node in self.path(ids)]


def credit(options: NoOptions, request: Request) -> Iterator[TokenCredit]:
    """Yields one TokenCredit a sample; no model is loaded."""
    everyone, members = groups(request, "completion_ids")
    trees: dict[str, Tree] = {}
    for row, member in enumerate(members):
        sample, group = everyone[member.place], [everyone[other] for other in member.group]
        tree = trees.setdefault(sample["problem_id"], Tree(group))
        mean, deviation = scale([one["outcome"] for one in group])
        gain = sample["outcome"] - mean
        values = tree.values(sample["completion_ids"])
        yield TokenCredit(row, [(gain + after - before) / deviation for before, after in pairwise(values)])
