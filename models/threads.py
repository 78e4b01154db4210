"""Micro-batches that are read at once, on a CPU's cores: one thread each, with modules of its own around the same
weights.

torch can also divide each operation among the cores, but those of a small model are done before their threads have
met: on two cores that took six times the work when anything else ran there. A sum that one thread computes is the same
on any number of cores, and gradients are added in the order of micro-batches; so the weights are, too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from models.deferred import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Reader = TypeVar("Reader")
Item = TypeVar("Item")
Result = TypeVar("Result")


def replica(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in modules of their own, which another thread may use at the same time."""
    weights = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in weights})


def in_threads(
    act: Callable[[Reader, Item], Result], readers: Sequence[Reader], items: Sequence[Item]
) -> Iterator[Result]:
    """What `act` makes of each item, in order: as many at once as there are readers, each with its own. They share
    the cores that torch has here."""
    if len(readers) == 1:
        yield from (act(readers[0], item) for item in items)
        return
    cores, count = torch.get_num_threads(), len(readers)
    free: SimpleQueue[Reader] = SimpleQueue()
    for reader in readers:
        free.put(reader)

    def with_a_free_one(item: Item) -> Result:
        reader = free.get()
        try:
            return act(reader, item)
        finally:
            free.put(reader)

    with ThreadPoolExecutor(count, initializer=lambda: torch.set_num_threads(max(1, cores // count))) as pool:
        yield from pool.map(with_a_free_one, items)
    torch.set_num_threads(cores)  # of libraries below torch, which have one number for all
