"""A key-value cache with room to grow, for decoding many tokens.

transformers' own cache copies all keys and values for every new token, so its work grows with the square of the
length. Here they lie at the start of a larger tensor, and a new token is written behind them.
"""

from typing import Any

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer

LEAST_ROOM = 32


def growing_cache(config: PreTrainedConfig) -> DynamicCache:
    """The cache that a model of this configuration needs, with room in its layers of full attention."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class GrowingLayer(DynamicLayer):
    """Keys and values, (batch, heads, length, size) each, as the first part of tensors with more room."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.key_room, self.value_room = key_states[..., :0, :], value_states[..., :0, :]
        self.keys, self.values = self.key_room, self.value_room

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        self.key_room, self.keys = appended(self.key_room, self.keys, key_states)
        self.value_room, self.values = appended(self.value_room, self.values, value_states)
        return self.keys, self.values


def appended(room: Tensor, past: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """`past` and `new` one after the other along the third axis, as the start of `room`, or of a larger one where
    there is no room or `past` is not its start any more (rows have left the batch); that room, and the two."""
    before, total = past.shape[2], past.shape[2] + new.shape[2]
    is_start = past.data_ptr() == room.data_ptr() and past.shape[0] == room.shape[0]
    if not is_start or total > room.shape[2]:
        batch, heads, _, size = new.shape
        room = new.new_empty(batch, heads, total + max(LEAST_ROOM, total // 2), size)
        room[:, :, :before] = past
    room[:, :, before:total] = new
    return room, room[:, :, :total]
