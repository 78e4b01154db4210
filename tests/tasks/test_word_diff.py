"""Word-level differences, each with the text that it must give back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.word_diff import word_diff


@pytest.mark.parametrize(
    ("old", "new", "segments"),
    [
        ("He has 3+4=8.", "He has 3+4=7.", [("kept", "He has 3+4="), ("replaced", "8", "7"), ("kept", ".")]),
        ("a b", "a b", [("kept", "a b")]),
        ("a", "a b", [("kept", "a"), ("inserted", " b")]),
        ("a b c", "a c", [("kept", "a "), ("deleted", "b "), ("kept", "c")]),
        ("", "new", [("inserted", "new")]),
        ("", "", []),
        # Two changes a single blank apart are read as one.
        ("one two.", "three four.", [("replaced", "one two", "three four"), ("kept", ".")]),
    ],
)
def test_changes_are_told_word_by_word(old, new, segments):
    assert word_diff(old, new) == segments


@given(st.text("ab \n12.", max_size=30), st.text("ab \n12.", max_size=30))
def test_the_segments_give_back_both_texts(old, new):
    segments = word_diff(old, new)
    assert "".join(part[1] for part in segments if part[0] != "inserted") == old
    assert "".join(part[-1] for part in segments if part[0] != "deleted") == new
    assert all(part[0] == "kept" or part[1] != part[-1] or len(part) == 2 for part in segments)
