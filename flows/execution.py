"""Who runs the stages and their shards: this process alone, or Prefect (`flows/engine.py`), which takes a second to
import and so comes only where something is computed.

    rlmec run tiny --set execution.runner=processes --set execution.workers=4
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, model_validator

from models.deferred import torch
from tasks.work import Span, in_turn

T = TypeVar("T")
Make = Callable[[Span], Span]


class ExecutionOptions(BaseModel, extra="forbid", frozen=True):
    """How the work is done; nothing here changes a result, or is part of a stage's key. (With another number of
    processes, as of threads, sums are split otherwise: their last bits are others, and in time the weights'.)"""

    runner: Literal["here", "threads", "processes", "ray"] = Field(
        "here", description="where shards are computed; `here` is one after the other, in this process"
    )
    workers: int | None = Field(
        None,
        gt=0,
        description="shards at once, for all runners but `here`; they share the cores, and there are as many if unset",
    )
    ray_address: str | None = Field(None, description="a Ray cluster's address; unset, one is started on this machine")
    retries: int = Field(0, ge=0, description="how often a shard, or a stage, that failed is tried again")
    checkpoint_every: int = Field(100, gt=0, description="updates between two checkpoints of a training stage")
    processes: int = Field(1, gt=0, description="processes that train a stage's model together, each with a GPU if any")
    sharded: bool = Field(False, description="each of them keeps but its part of the weights (FSDP2), not all of them")
    launcher: str | None = Field(
        None, description="a command that starts the processes, on several machines too, as torchrun or srun"
    )

    @model_validator(mode="after")
    def fits_together(self) -> "ExecutionOptions":
        if self.sharded and self.processes == 1:
            raise ValueError("sharded divides a model among several processes: set processes")
        if self.launcher and self.processes == 1:
            raise ValueError("launcher starts several processes: set processes to their number, over all machines")
        return self

    @property
    def at_once(self) -> int:
        """How many shards are computed at once."""
        if self.runner == "here":
            return 1
        return self.workers or torch.get_num_threads()

    def is_elsewhere(self, options: Any) -> bool:
        """Whether a stage with these options runs, or its shards do, in processes that load its code anew."""
        return self.trains_together(options) or self.runner in ("processes", "ray")

    def trains_together(self, options: Any) -> bool:
        """Whether a stage with these options runs in several processes."""
        return self.processes > 1 and hasattr(options, "optimisation")


class Direct:
    """Plain calls, without Prefect."""

    def __enter__(self) -> "Direct":
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def stage(self, label: str, action: Callable[[], T]) -> T:
        """Run a stage."""
        return action()

    def slot(self, options: Any) -> AbstractContextManager[None]:
        """What a stage must hold while it computes."""
        return nullcontext()

    def shards(self, make: Make, spans: Sequence[Span]) -> Iterator[Span]:
        """Run the shards of a stage, and yield their spans as they are done."""
        return in_turn(make, spans)
