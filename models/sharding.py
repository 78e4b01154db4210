"""Weights, gradients and optimiser states in parts, one a process (ZeRO stage 3, Rajbhandari et al., 2020), by torch's
`fully_shard`, which is also what accelerate's FSDP2 calls. Called directly it works on the CPU as well, where
accelerate does not shard: so a test without a GPU runs these very lines.

    shard(model)                         before the optimiser is made
    collected(weights)                   in every process at once: each has a part of the answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models import processes

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def shard(model: PreTrainedModel) -> None:
    """Give each process its part of every layer, and of what is around the layers; in place."""
    from torch.distributed.fsdp import fully_shard
    from torch.nn import ModuleList

    stacks = [module for module in model.modules() if isinstance(module, ModuleList)]
    for layer in max(stacks, key=len, default=()):
        fully_shard(layer)
    fully_shard(model)


def is_sharded(value: object) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(value, DTensor)


def whole(value: Tensor) -> Tensor:
    """The whole of a tensor; every process must ask for it. One that is not in parts is whole."""
    return value.full_tensor() if is_sharded(value) else value  # type: ignore[attr-defined]


def collected(value: Tensor) -> Tensor:
    """The whole of a tensor on the CPU, for the first process to write; every process must ask for it."""
    full = whole(value.detach())
    return full.cpu().contiguous() if processes.rank() == 0 else full.new_empty(0)


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """A whole tensor in the parts, and on the device, of a parameter of its shape."""
    from torch.distributed.tensor import distribute_tensor

    if not is_sharded(parameter):
        return value
    mesh, placements = parameter.device_mesh, parameter.placements  # type: ignore[attr-defined]
    return distribute_tensor(value.to(parameter.device), mesh, placements)
