"""Several processes that train one model: how many there are, and what they tell each other.

    world() == 4, rank() == 2        of four processes this is the third; alone it is world() == 1, rank() == 0

Every process holds the same weights and reads its share of each update's examples; gradients are added up once an
update (`sum_gradients`). That is the arithmetic of DistributedDataParallel without its wrapper, which would wait for
the others in every micro-batch: here a process may make more of them than another, or make them again after it ran
out of memory. Whoever starts the processes joins them first, see `tasks/process.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from models.batch import Example, units
from models.deferred import torch

if TYPE_CHECKING:
    from torch import Tensor


def is_one_of_several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def world() -> int:
    """How many processes there are."""
    return torch.distributed.get_world_size() if is_one_of_several() else 1


def rank() -> int:
    """Which of them this is, from 0. The first one writes and logs."""
    return torch.distributed.get_rank() if is_one_of_several() else 0


def share(examples: Sequence[Example]) -> list[Example]:
    """This process's part of an update's examples: similar numbers of tokens for each, and pairs stay together."""
    if world() == 1:
        return list(examples)
    return [example for unit in units(examples)[rank() :: world()] for example in unit]


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if is_one_of_several():
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value


def anywhere(is_so: bool, at: torch.device) -> bool:
    """Whether something is so in one process at least."""
    return bool(summed(torch.tensor(float(is_so), device=at)) > 0)


def gathered(value: Any) -> list[Any]:
    """What each process says, in order."""
    if not is_one_of_several():
        return [value]
    found: list[Any] = [None] * world()
    torch.distributed.all_gather_object(found, value)
    return found


def wait() -> None:
    """Until every process is here."""
    if is_one_of_several():
        torch.distributed.barrier()


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace each gradient by its sum over all processes. One that no process has stays None, as it does alone, where
    the optimiser then leaves the parameter as it is."""
    if not is_one_of_several():
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    has = torch.tensor([float(parameter.grad is not None) for parameter in trained], device=trained[0].device)
    for parameter, count in zip(trained, summed(has).tolist(), strict=True):
        if count:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)
