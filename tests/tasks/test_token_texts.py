"""The texts of tokens, also where a character is spread over several."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import tiny
from tasks.token_texts import load_tokenizer, token_texts


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tokenizer of bytes and few merges, and the same one as a checkpoint holds it."""
    made = tiny.train_tokenizer(["Tom has 17 apples."] * 3, 270)
    folder = tmp_path_factory.mktemp("tokenizer")
    made.save_pretrained(folder)
    return made, load_tokenizer(folder)


def test_a_character_of_several_tokens_is_the_last_ones(saved):
    made, tokenizer = saved
    ids = made.encode("é!", add_special_tokens=False)
    assert len(ids) == 3  # é is two bytes
    assert token_texts(tokenizer, ids) == ["", "é", "!"]


def test_special_tokens_are_shown_and_half_a_character_at_the_end_is_marked(saved):
    made, tokenizer = saved
    half = made.encode("é", add_special_tokens=False)[0]
    assert token_texts(tokenizer, [made.eos_token_id]) == [made.eos_token]
    assert token_texts(tokenizer, [half]) == ["\ufffd"]
    assert token_texts(tokenizer, []) == []


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_the_texts_joined_are_the_text(saved, text):
    made, tokenizer = saved
    ids = made.encode(text, add_special_tokens=False)
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == made.decode(ids, clean_up_tokenization_spaces=False)


def test_a_folder_without_a_tokenizer_is_an_error_that_a_page_can_do_without(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    with pytest.raises((OSError, ValueError)):
        load_tokenizer(tmp_path)
