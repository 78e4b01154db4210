"""Edits are exact: the faults of a traceback that marks kept tokens or misses inserted ones are tests here."""

import random

import polars as pl
import pytest

from tasks.align import AlignOptions, align, edit_operations, edited_tokens
from tasks.records import table, write_table


def distance_by_table(source, target):
    """The Levenshtein distance by a plain dynamic-programming table, independent of rapidfuzz."""
    previous = list(range(len(target) + 1))
    for i, left in enumerate(source, start=1):
        current = [i]
        for j, right in enumerate(target, start=1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (left != right)))
        previous = current
    return previous[-1]


def applied(source, target, operations):
    """What the operations make of `source`, rebuilt position by position."""
    made, position = [], 0
    for kind, at, to in operations:
        made += source[position:at]
        position = at
        if kind != "delete":
            assert len(made) == to
            made.append(target[to])
        if kind != "insert":
            position += 1
    return made + source[position:]


def test_edits_of_thousands_of_random_pairs_are_shortest_and_rebuild_the_rewrite():
    draw = random.Random(0)
    for _ in range(3000):
        source = [draw.randrange(4) for _ in range(draw.randrange(13))]
        target = [draw.randrange(4) for _ in range(draw.randrange(13))]
        operations = edit_operations(source, target)
        assert len(operations) == distance_by_table(source, target)
        assert applied(source, target, operations) == target
        edited = edited_tokens(source, target, mark_after_delete=False)
        assert sum(edited) == sum(kind != "delete" for kind, _, _ in operations)


def test_a_deletion_marks_the_token_after_it_and_not_the_kept_one_before():
    """[a, x, b] → [a, b]: the authors' traceback marks `a`."""
    assert edit_operations([1, 9, 2], [1, 2]) == [("delete", 1, 1)]
    assert edited_tokens([1, 9, 2], [1, 2]) == [False, True]
    assert edited_tokens([1, 9, 2], [1, 2], mark_after_delete=False) == [False, False]


def test_an_insertion_at_the_front_is_marked():
    """[b] → [a, b]: the authors' traceback leaves `a` unmarked."""
    assert edit_operations([2], [1, 2]) == [("insert", 0, 0)]
    assert edited_tokens([2], [1, 2]) == [True, False]


def test_a_replacement_marks_its_token():
    assert edit_operations([1, 2, 3], [1, 5, 3]) == [("replace", 1, 1)]
    assert edited_tokens([1, 2, 3], [1, 5, 3]) == [False, True, False]


def test_a_deletion_at_the_very_end_marks_nothing():
    assert edited_tokens([1, 2, 9], [1, 2]) == [False, False]


@pytest.mark.parametrize(
    ("source", "target", "edited"),
    [([], [], []), ([], [1, 2], [True, True]), ([1, 2], [], []), ([1, 2], [1, 2], [False, False])],
)
def test_empty_and_equal_sequences(source, target, edited):
    assert edited_tokens(source, target) == edited
    assert len(edit_operations(source, target)) == abs(len(source) - len(target))


def test_the_stage_aligns_accepted_rewrites_alone(tmp_path):
    def sample(name, ids):
        return {"sample_id": name, "problem_id": "p", "prompt_ids": [1], "completion_ids": ids, "completion": "",
                "finish_reason": "stop", "extracted_answer": None, "is_right": False}  # fmt: skip

    def rewrite(name, ids, reason):
        return {"sample_id": name, "rewriter": "grm", "located_step": 1, "rewrite_ids": ids, "rewrite": "",
                "extracted_answer": "1", "is_right": True, "edit_distance": 1, "edit_fraction": 0.3, "attempts": 1,
                "reject_reason": reason}  # fmt: skip

    inputs = {"samples": tmp_path / "samples.parquet", "rewrites": tmp_path / "rewrites.parquet"}
    write_table(table("samples", [sample("s", [1, 9, 2]), sample("t", [4])]), "samples", inputs["samples"])
    rewrites = [rewrite("s", [1, 2], None), rewrite("t", [5], "wrong answer")]
    write_table(table("rewrites", rewrites), "rewrites", inputs["rewrites"])
    logged = {}
    align(AlignOptions(), inputs, tmp_path, log=lambda metrics, step=None: logged.update(metrics))
    edits = pl.read_parquet(tmp_path / "edits.parquet").to_dicts()
    assert edits == [
        {
            "sample_id": "s",
            "kinds": ["delete"],
            "source_positions": [1],
            "target_positions": [1],
            "sample_edited": [False, True, False],
            "rewrite_edited": [False, True],
        }
    ]
    assert (logged["pairs"], logged["edits/delete"], logged["edits/insert"]) == (1, 1, 0)
