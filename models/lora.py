"""Low-rank adapters (Hu et al., 2021, arXiv 2106.09685), by peft: a few weights are trained beside the others.

    model = adapted(model, Lora(rank=16), seed=0)
    …                                              training leaves all other weights as they are
    model = merged(model, folder / "adapter")      W + (alpha / rank) · B A, and the adapter in a folder

What a stage saves is the merged model, whole: every stage, `rlmec evaluate`, the registry and transformers load it as
any other, and its digest says all that it is. The adapter lies in it as safetensors, in peft's layout, for who serves
several of them on one base.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import processes
from models.deferred import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Lora:
    """rank: of A and B. alpha: the update is scaled by alpha / rank. targets: the layers, by name; all linear ones but
    the output layer by default. Raises ValueError for a value out of range, and where peft is not installed."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.rank <= 0 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ValueError("rank and alpha must be greater than 0, and dropout must lie in 0..1")
        if importlib.util.find_spec("peft") is None:
            raise ValueError("lora needs the extra `lora`: pip install 'rlmec[lora]'")


def adapted(model: PreTrainedModel, lora: Lora | None, seed: int) -> Any:
    """The model with adapters that change nothing yet (B is 0), and only they are trained; itself without `lora`."""
    if lora is None:
        return model
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) if lora.targets else "all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that will go
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def merged(model: Any, folder: Path) -> PreTrainedModel:
    """The plain model with its adapters added to its weights; they are saved in `folder`. Itself where it has none."""
    if not hasattr(model, "merge_and_unload"):
        return model
    if processes.rank() == 0:
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # a form to fill in
        # The path of the base says where this machine keeps it; which it is stands in the run's inputs.
        config = json.loads((folder / "adapter_config.json").read_text())
        text = json.dumps({**config, "base_model_name_or_path": None}, indent=2, sort_keys=True)
        (folder / "adapter_config.json").write_text(text)
    plain: PreTrainedModel = model.merge_and_unload()
    return plain
