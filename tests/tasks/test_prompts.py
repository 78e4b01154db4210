"""Prompts: one function each, made of the sampled ids themselves, and a strict reading of locate answers."""

import inspect

import pytest

from tasks import credit, rewrite, train_reward_model
from tasks.credit import grm
from tasks.prompts import (
    encode,
    line_spans,
    locate_prompt,
    parse_located_line,
    rewrite_prompt,
    solution_completion,
    solve_prompt,
)

SOLUTION = "Tom has 12+5=17 apples.\nThe answer is 17."


@pytest.mark.parametrize(
    ("text", "line"),
    [("2", 2), (" 2\n", 2), ("2.", 2), ("12", 12), ("incorrect", None), ("correct", None), ("", None), ("0", None),
     ("13", None), ("1 or 2", None), ("line 2", None), ("-1", None), ("²", None), ("9" * 5000, None)],
)  # fmt: skip
def test_a_locate_answer_is_a_line_number_and_nothing_else(text, line):
    assert parse_located_line(text, lines=12) == line


def test_a_prompt_holds_the_sampled_ids_even_where_the_tokenizer_would_choose_others(tokenizer):
    """The policy sampled "apples" letter by letter; a prompt must not tokenise it again."""
    odd = [token for letter in "apples" for token in encode(tokenizer, letter)]
    assert odd != encode(tokenizer, "apples")
    for prompt in (rewrite_prompt, locate_prompt):
        ids = prompt(tokenizer, "How many?", None, SOLUTION, [*odd, tokenizer.eos_token_id])
        assert any(ids[start : start + len(odd)] == odd for start in range(len(ids)))
        assert tokenizer.eos_token_id not in ids


def test_the_rewrite_prompt_never_names_the_wrong_line(tokenizer):
    ids = rewrite_prompt(tokenizer, "How many?", None, SOLUTION, encode(tokenizer, "First.\nSecond."))
    assert tokenizer.decode(ids) == (
        f"Question: How many?\nReference solution:\n{SOLUTION}\n"
        "Student solution:\nFirst.\nSecond.\nCorrected solution:\n"
    )


def test_without_a_reference_solution_the_prompts_have_no_place_for_one(tokenizer):
    sample = encode(tokenizer, "First.")
    rewriting, locating = (
        prompt(tokenizer, "How many?", None, None, sample) for prompt in (rewrite_prompt, locate_prompt)
    )
    assert tokenizer.decode(rewriting) == "Question: How many?\nStudent solution:\nFirst.\nCorrected solution:\n"
    assert tokenizer.decode(locating) == "Question: How many?\nStudent solution:\n1. First.\nFirst wrong line:\n"


def test_the_locate_prompt_numbers_the_samples_lines(tokenizer):
    ids = locate_prompt(tokenizer, "How many?", None, SOLUTION, encode(tokenizer, "First.\n\nSecond."))
    assert "Student solution:\n1. First.\n\n2. Second.\nFirst wrong line:\n" in tokenizer.decode(ids)


def test_a_choice_problem_lists_its_options_by_letter(tokenizer):
    text = tokenizer.decode(solve_prompt(tokenizer, "Which?", ["sun", "rain"]))
    assert text == "Question: Which?\n(A) sun\n(B) rain\nSolution:\n"


def test_training_and_inference_build_the_rewrite_prompt_with_the_same_function():
    """The authors' training prompt differs from their inference prompt by one newline."""
    for module in (train_reward_model, rewrite, grm):
        assert module.rewrite_prompt is rewrite_prompt
    assert "rewrite_prompt" not in inspect.getsource(credit)


def test_line_spans_follow_each_other_and_blank_lines_belong_to_the_line_before(tokenizer):
    ids = solution_completion(tokenizer, "One.\n\nTwo.\nThree.")
    spans = line_spans(tokenizer, ids)
    assert [tokenizer.decode(ids[first:end]) for first, end in spans] == ["One.\n\n", "Two.\n", "Three."]
    assert line_spans(tokenizer, [tokenizer.eos_token_id]) == []


def test_prompt_and_completion_meet_between_tokens(tokenizer):
    """So that tokenising them together gives the same ids, and no mask slips."""
    prompt = solve_prompt(tokenizer, "How many?", None)
    completion = solution_completion(tokenizer, SOLUTION)
    text = tokenizer.decode([*prompt, *completion[:-1]])
    assert encode(tokenizer, text) == [*prompt, *completion[:-1]]
