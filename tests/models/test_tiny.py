"""The tokenizer and model from nothing: lossless, single digits, and the same from the same seed."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import tiny

TOKENIZER = tiny.train_tokenizer(["Tom has 12+5=17 apples.\nThe answer is 17."], 300)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_decoding_gives_back_any_text(text):
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.decode(ids) == text.encode(errors="replace").decode()


def test_every_digit_is_a_token_of_its_own():
    pieces = [TOKENIZER.decode([token]) for token in TOKENIZER("has 1234")["input_ids"]]
    assert pieces[-4:] == ["1", "2", "3", "4"]


def test_no_token_crosses_a_line_break():
    tokens = [TOKENIZER.decode([token]) for token in TOKENIZER("apples.\nThe answer\n\n")["input_ids"]]
    assert [token for token in tokens if "\n" in token] == ["\n", "\n", "\n"]


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone():
    shape = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 32}
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, second, other = (tiny.new_llama(TOKENIZER, **shape, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [model.model.embed_tokens.weight for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
