"""How a rewrite is judged, whoever wrote it."""

import pytest

from tasks.prompts import encode, solution_completion
from tasks.rewrites import Acceptance, first_changed_line, rewrite_row, spliced_ids

PROBLEM = {
    "question": "How many?",
    "solution": "12+5=17.\nThe answer is 17.",
    "answer": "17",
    "options": None,
}
WRONG = "Tom has 12+5=16.\nThe answer is 16."


def judged(tokenizer, rewrite, acceptance=None, ended=True):
    sample = {"sample_id": "s", "completion_ids": solution_completion(tokenizer, WRONG)}
    ids = solution_completion(tokenizer, rewrite)
    return rewrite_row(
        sample,
        PROBLEM,
        ids,
        rewrite,
        rewriter="grm",
        located_step=1,
        ended=ended,
        acceptance=acceptance or Acceptance(),
    )


def test_a_right_rewrite_is_accepted_with_its_distance(tokenizer):
    row = judged(tokenizer, "Tom has 12+5=17.\nThe answer is 17.")
    assert (row["is_right"], row["reject_reason"], row["edit_distance"]) == (True, None, 2)  # 6 → 7, twice
    assert row["edit_fraction"] == 2 / len(row["rewrite_ids"])


@pytest.mark.parametrize(
    ("rewrite", "acceptance", "ended", "reason"),
    [
        (WRONG, Acceptance(), True, "wrong answer"),
        ("Tom has 17.", Acceptance(), True, "no answer"),
        ("Tom has 12+5=17.\nThe answer is 17.", Acceptance(), False, "cut at the length limit"),
        ("Tom has 12+5=17.\nThe answer is 17.", Acceptance(max_edit_fraction=0.01), True, "too many edits"),
        ("Tom has 12+5=18.\nThe answer is 17.", Acceptance(true_equations=True), True, "false equation"),
        ("Tom has 12+5=18.\nThe answer is 17.", Acceptance(), True, None),
    ],
)
def test_every_reject_has_its_reason(tokenizer, rewrite, acceptance, ended, reason):
    assert judged(tokenizer, rewrite, acceptance, ended)["reject_reason"] == reason


def test_unchanged_lines_keep_the_ids_that_were_sampled(tokenizer):
    odd = [token for letter in "apples" for token in encode(tokenizer, letter)]
    first = [*odd, *encode(tokenizer, "\n")]
    sample = [*first, *encode(tokenizer, "The answer is 16."), tokenizer.eos_token_id]
    ids = spliced_ids(tokenizer, sample, "apples\nThe answer is 17.")
    assert ids == [*first, *encode(tokenizer, "The answer is 17."), tokenizer.eos_token_id]


@pytest.mark.parametrize(
    ("sample", "rewrite", "line"),
    [
        ("a\nb\nc", "a\nx\nc", 2),
        ("a\nb", "x\nb", 1),
        ("a\nb", "a", 2),
        ("a", "a\nb", 1),
        ("a\n\nb", "a\n\nc", 2),
    ],
)
def test_the_first_changed_line_is_a_line_of_the_sample(sample, rewrite, line):
    assert first_changed_line(sample, rewrite) == line
