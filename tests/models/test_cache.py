"""The cache with room to grow holds what transformers' own cache holds, whatever happens to the batch."""

import torch
from transformers import DynamicCache

from models.cache import LEAST_ROOM, growing_cache


def new_tokens(batch, length):
    return torch.randn(batch, 2, length, 4), torch.randn(batch, 2, length, 4)


def test_it_holds_the_same_as_transformers_cache_while_tokens_come_and_rows_leave(model):
    ours, theirs = growing_cache(model.config), DynamicCache(config=model.config)
    batch = 5
    for step in range(3 * LEAST_ROOM):  # a prompt of 7 tokens, then one at a time, past the room twice
        keys, values = new_tokens(batch, 7 if step == 0 else 1)
        found, expected = ours.update(keys, values, 0), theirs.update(keys, values, 0)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        assert ours.get_seq_length(0) == theirs.get_seq_length(0) == 7 + step
        if step in (10, 50):
            left = torch.tensor([0, 2, 3] if step == 10 else [2, 0])
            ours.layers[0].batch_select_indices(left)
            theirs.layers[0].batch_select_indices(left)
            batch = len(left)


def test_a_new_token_copies_nothing_that_was_there(model):
    cache = growing_cache(model.config)
    first, _ = cache.update(*new_tokens(3, 10), 0)
    second, _ = cache.update(*new_tokens(3, 1), 0)
    assert second.data_ptr() == first.data_ptr()
