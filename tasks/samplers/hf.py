"""The policy is loaded here and decodes in batches; a completion depends on its own seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel

from models import policy
from models.policy import Completion, Decoding, complete
from tasks.prompts import end

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Options(BaseModel, extra="forbid", frozen=True):
    """There are none; how many are decoded at once, and on which device, are options of the stage."""

    unkeyed: ClassVar[frozenset[str]] = frozenset()


def completions(
    options: Options,
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    seeds: Sequence[int],
    batch_size: int,
    device: str,
) -> Iterator[Completion]:
    """Complete each prompt."""
    model, _ = policy.shared(folder, policy.device(device))
    return complete(model, prompts, end(tokenizer), decoding, seeds, batch_size)
