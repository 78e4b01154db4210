"""Credit sources that compare the samples of a problem."""

from pathlib import Path

import pytest
import torch

from tasks.credit import group, prefix_tree
from tasks.records import table, write_table


@pytest.fixture
def credits_of(tmp_path):
    """The rewards that a credit source gives the samples (problem, token ids, right or wrong) from `first` on."""

    def give(source, samples, first=0) -> list[list[float]]:
        rows = [
            {"sample_id": str(number), "problem_id": problem, "prompt_ids": [1], "completion_ids": ids,
             "completion": "", "finish_reason": "stop", "extracted_answer": None, "is_right": is_right}
            for number, (problem, ids, is_right) in enumerate(samples)
        ]  # fmt: skip
        path = Path(tmp_path, "samples.parquet")
        write_table(table("samples", rows), "samples", path)
        given = source.credit(source.Options(), {"samples": path}, rows[first:], {}, 8, torch.device("cpu"))
        return [credit.rewards for credit in sorted(given, key=lambda credit: credit.row)]

    return give


A, B, C, D = 11, 12, 13, 14


def test_every_token_earns_how_much_better_the_sample_did_than_its_problems_samples(credits_of):
    # Of four one is right: mean 0.25, std √((0.75² + 3 · 0.25²) / 3) = 0.5. Right: 0.75 / 0.5, wrong: −0.25 / 0.5.
    samples = [("p", [A, B], True), ("p", [A], False), ("p", [B], False), ("p", [C], False)]
    rewards = credits_of(group, samples)
    assert rewards[0] == pytest.approx([1.5, 1.5], rel=1e-3)
    assert rewards[1:] == [pytest.approx([-0.5], rel=1e-3)] * 3


@pytest.mark.parametrize("source", [group, prefix_tree])
@pytest.mark.parametrize("is_right", [True, False])
def test_a_problem_whose_samples_did_alike_gives_no_credit(credits_of, source, is_right):
    assert credits_of(source, [("p", [A, B], is_right), ("p", [A, C], is_right)]) == [[0.0, 0.0]] * 2
    assert credits_of(source, [("p", [A], is_right)]) == [[0.0]]


@pytest.mark.parametrize("source", [group, prefix_tree])
def test_a_problems_samples_are_compared_whichever_shard_they_stand_in(credits_of, source):
    samples = [("p", [A, B], True), ("q", [A], True), ("p", [A, C], False), ("q", [B], False)]
    whole = credits_of(source, samples)
    assert credits_of(source, samples, first=2) == whole[2:]
    assert whole[2] != [0.0, 0.0]


def test_where_two_samples_part_a_token_earns_what_it_changed(credits_of):
    """The worked example of tasks/credit/prefix_tree.py."""
    rewards = credits_of(prefix_tree, [("p", [A, B], True), ("p", [A, C], False)])
    assert rewards[0] == pytest.approx([0.7071, 1.4142], rel=1e-3)
    assert rewards[1] == pytest.approx([-0.7071, -1.4142], rel=1e-3)


def test_a_token_after_the_last_parting_earns_what_grpo_gives_it(credits_of):
    """A B C and A B D are right, A D and B wrong: mean 0.5, std √(4 · 0.25 / 3) = 0.5774."""
    samples = [("p", [A, B, C], True), ("p", [A, B, D], True), ("p", [A, D], False), ("p", [B], False)]
    first, _, third, fourth = credits_of(prefix_tree, samples)
    # V(∅) = 2/4, V(A) = 2/3, V(A B) = V(A B C) = 1: the steps are 1/6, 1/3 and 0.
    assert first == pytest.approx([(0.5 + 1 / 6) / 0.5774, (0.5 + 1 / 3) / 0.5774, 0.5 / 0.5774], rel=1e-3)
    # V(A D) = 0 after V(A) = 2/3; V(B) = 0 after 1/2.
    assert third == pytest.approx([(-0.5 + 1 / 6) / 0.5774, (-0.5 - 2 / 3) / 0.5774], rel=1e-3)
    assert fourth == pytest.approx([(-0.5 - 0.5) / 0.5774], rel=1e-3)
