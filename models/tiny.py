"""A small Llama from random weights, and a tokenizer trained on the text at hand: no network, no checkpoint.

The tokenizer is a byte-level BPE in which every digit is a token of its own, since a model of this size learns
column arithmetic only on single digits. It loses nothing: decoding gives back the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from models.deferred import torch

if TYPE_CHECKING:
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

EOS, PAD = "<eos>", "<pad>"
# Words and signs carry the space before them; digits and line breaks stand alone.
PIECES = Regex(r" ?\p{L}+|\p{N}|\n| ?[^\s\p{L}\p{N}]|\s")


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most `vocabulary` tokens, learned from `texts`, with <eos> and <pad>."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD)


def llama_config(
    tokenizer: PreTrainedTokenizerFast, layers: int, width: int, heads: int, feed_forward: int
) -> LlamaConfig:
    """A small Llama for a tokenizer; embeddings are tied."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=feed_forward,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        # The usual 0.02 is meant for wide models; here it delays copying and attention by hundreds of updates.
        initializer_range=width**-0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def new_llama(
    tokenizer: PreTrainedTokenizerFast, layers: int, width: int, heads: int, feed_forward: int, seed: int
) -> LlamaForCausalLM:
    """A Llama with random weights that depend on `seed` alone."""
    from transformers import LlamaForCausalLM

    config = llama_config(tokenizer, layers, width, heads, feed_forward)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)
