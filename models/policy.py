"""A causal language model with its tokenizer: loading, saving, and completing prompts of token ids.

A completion is sampled by inverse transform: each row draws its own stream of uniform numbers from its own
seed, so what a row becomes does not depend on which other rows shared its batch.

transformers takes seconds to import, so here and elsewhere functions that need it import it: a run that is all in
the store needs none of it.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from models import processes
from models.deferred import inference, torch
from models.sharding import collected, is_sharded

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FEW = 32  # tokens that nearly always hold the nucleus


@dataclass(frozen=True)
class Completion:
    """Token ids of one completion; `ended` says that its last id is EOS, not that it met the length limit,
    `ids_from_text` that a server gave text alone, which was tokenised."""

    row: int
    ids: list[int]
    ended: bool
    ids_from_text: bool = False


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen. Temperature 0 is greedy decoding; top_p keeps the nucleus (Holtzman et al., 2020)."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0


def device(name: str = "auto") -> torch.device:
    """The named device; "auto" is CUDA where there is one, otherwise the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(folder: str | Path, on: torch.device | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model (fp32, evaluation mode) and tokenizer of a local folder. Weights must be safetensors.

    Raises OSError where the folder holds no safetensors weights: pickled weights are never loaded.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(folder)
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    model.to(on or device())  # type: ignore[arg-type]
    return model.eval(), tokenizer


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a local folder."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer


kept = lru_cache(maxsize=2)(load)
kept_tokenizer = lru_cache(maxsize=2)(load_tokenizer)
loading = threading.Lock()  # transformers cannot load two models at once in one process


def shared(folder: Path, on: torch.device) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """As `load`, but the weights are loaded once for all threads that only read, and kept until `forget_shared`. Never
    train what it returns."""
    with loading:
        model, tokenizer = kept(folder, on)
    return replica(model), tokenizer


def shared_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """As `load_tokenizer`, but once for all threads and shards: kept until `forget_shared`."""
    with loading:
        return kept_tokenizer(folder)


def replica(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights in modules of their own, which another thread may use at the same time: `output_layer` of
    `models/logprobs.py` tells a module what one batch wants of it."""
    weights = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in weights})


def forget_shared() -> None:
    """Let the models and tokenizers go that `shared` and `shared_tokenizer` keep."""
    kept.cache_clear()
    kept_tokenizer.cache_clear()


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights as safetensors, configuration and tokenizer, as `from_pretrained` reads them. Of several processes
    each must call this, and the first writes."""
    weights = None
    if any(map(is_sharded, model.parameters())):
        weights = {name: collected(tensor) for name, tensor in model.state_dict().items()}
    if processes.rank() > 0:
        return
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)


def complete(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    eos: int,
    decoding: Decoding,
    seeds: Sequence[int] | None = None,
    batch_size: int = 256,
) -> Iterator[Completion]:
    """Complete each prompt of token ids, and yield completions as their batches end (`row` names the prompt).

    Batches hold prompts of similar length. `seeds` has one seed a row and is needed unless decoding is greedy.
    """
    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), prompts[row]))
    for first in range(0, len(order), batch_size):
        rows = order[first : first + batch_size]
        uniforms = None
        if decoding.temperature > 0:
            if seeds is None:
                raise ValueError("sampling needs one seed a row")
            uniforms = torch.stack([uniform(seeds[row], decoding.max_new_tokens) for row in rows])
        batch = decode([prompts[row] for row in rows], model, eos, decoding, uniforms)
        for row, ids in zip(rows, batch, strict=True):
            yield Completion(row, ids, ended=bool(ids) and ids[-1] == eos)


def uniform(seed: int, count: int) -> Tensor:
    """`count` uniform numbers in [0, 1) that depend on `seed` alone, (count,) float64 on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, generator=generator, dtype=torch.float64)


@inference
def decode(
    prompts: Sequence[Sequence[int]],
    model: PreTrainedModel,
    eos: int,
    decoding: Decoding,
    uniforms: Tensor | None,
) -> list[list[int]]:
    """Complete one batch with a key-value cache, left-padded; rows that have ended leave the batch. A prompt that
    several rows have is read once.

    uniforms: (B, max_new_tokens) for sampling, None for greedy decoding.
    """
    from models.cache import growing_cache

    at, cache = model.device, growing_cache(model.config)

    def following(ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """What may come next: logits (B, V)."""
        read = model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
        )
        return read.logits[:, -1]  # type: ignore[no-any-return]

    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids, mask = left_padded(list(numbers), at)
    logits = following(ids, mask, (mask.cumsum(1) - 1).clamp(min=0))
    if len(numbers) < len(prompts):
        of_row = torch.tensor([numbers[tuple(prompt)] for prompt in prompts], device=at)
        cache.batch_select_indices(of_row)
        logits, mask = logits[of_row], mask[of_row]
    alive = torch.arange(len(prompts), device=at)
    going = torch.ones(len(prompts), dtype=torch.bool, device=at)
    completions: list[list[int]] = [[] for _ in prompts]
    for step in range(decoding.max_new_tokens):
        draws = None if uniforms is None else uniforms[alive.cpu(), step].to(at)
        chosen = choose(logits, decoding, draws)
        for row, token in zip(alive.tolist(), chosen.tolist(), strict=True):
            completions[row].append(token)
        going &= chosen != eos  # for good: a row that has ended may stay for some steps
        if step + 1 == decoding.max_new_tokens or not going.any():
            break
        # Dropping rows copies the cache, so it is done only once a quarter of the batch has ended.
        if going.sum() <= 0.75 * len(going):
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            chosen, mask, alive, going = chosen[kept], mask[kept], alive[kept], going[kept]
        mask = extended(mask)
        logits = following(chosen[:, None], mask, mask.sum(1, keepdim=True) - 1)
    return [cut_after(completion, eos) for completion in completions]


def choose(logits: Tensor, decoding: Decoding, draws: Tensor | None) -> Tensor:
    """The next token of each row: logits (B, V) → (B,). draws: (B,) uniform numbers, None for greedy."""
    if draws is None:
        return logits.argmax(-1)
    probabilities = (logits.double() / decoding.temperature).softmax(-1)
    ordered, tokens = most_likely(probabilities, decoding.top_p)
    before = ordered.cumsum(-1) - ordered
    nucleus = torch.where(before < decoding.top_p, ordered, 0.0).cumsum(-1)
    # Inverse transform over the nucleus: the first token at which the cumulative mass passes the draw.
    picks = (nucleus <= draws[:, None] * nucleus[:, -1:]).sum(-1).clamp(max=tokens.shape[-1] - 1)
    return tokens.gather(1, picks[:, None])[:, 0]


def most_likely(probabilities: Tensor, mass: float) -> tuple[Tensor, Tensor]:
    """Probabilities and tokens of each row, (B, n) each, from the most likely down to where they hold `mass` or
    further. To sort a whole vocabulary takes as long as a small model's forward pass, and is rarely needed."""
    ordered, tokens = probabilities.topk(min(FEW, probabilities.shape[-1]))
    if (ordered.sum(-1) >= mass).all():
        return ordered, tokens
    return probabilities.sort(dim=-1, descending=True, stable=True)


def left_padded(prompts: Sequence[Sequence[int]], at: torch.device) -> tuple[Tensor, Tensor]:
    """Ids and attention mask, each (B, longest), padded on the left; the mask comes from lengths alone."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    return ids.to(at), mask.to(at)


def extended(mask: Tensor) -> Tensor:
    """The attention mask (B, T) with one more attended column, (B, T + 1)."""
    return torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)


def cut_after(ids: list[int], eos: int) -> list[int]:
    """Ids up to and including the first EOS: a row that ended may have stayed in its batch for some steps."""
    return ids[: ids.index(eos) + 1] if eos in ids else ids
