"""The credit sources and the sampler of docs/results/, which the study of the token reward names by their paths."""

from pathlib import Path

import polars as pl
import pytest

from models.policy import Decoding
from tasks import parts
from tasks.credit import Request
from tasks.prompts import solve_prompt
from tasks.train_reward_model import held_out_place

STUDY = Path(__file__).parents[2] / "docs" / "results"


@pytest.mark.parametrize(("half", "earns"), [("unseen", "below"), ("trained", "above")])
def test_only_wrong_samples_of_the_half_that_counts_earn_the_outcomes_reward(half, earns):
    places = {f"p{number}": held_out_place(f"p{number}") for number in range(20)}
    problems = {"below": min(places, key=places.get), "above": max(places, key=places.get)}
    samples = [
        {"sample_id": f"{side} {is_right}", "problem_id": problem, "is_right": is_right, "completion_ids": [5, 6, 7]}
        for side, problem in problems.items()
        for is_right in (True, False)
    ]
    source = parts.get("tasks.credit", str(STUDY / "halves.py"), "credit source")
    options = source.Options(floor=-0.5, half=half, places="all")
    found = {
        samples[one.row]["sample_id"]: one.rewards for one in source.credit(options, Request({}, samples, {}, 2, "cpu"))
    }
    other = {"below": "above", "above": "below"}[earns]
    assert found == {
        f"{earns} False": [-0.5, -0.5, -0.5], f"{earns} True": [0.0, 0.0, 0.0],
        f"{other} False": [0.0, 0.0, 0.0], f"{other} True": [0.0, 0.0, 0.0],
    }  # fmt: skip


def test_a_round_with_pooled_data_draws_what_the_one_before_drew_and_only_the_rest_anew(
    policy_folder, tokenizer, tmp_path
):
    """Of the first question's three completions two come from before, of the second's, which has one, one."""
    first, second = (solve_prompt(tokenizer, question, None) for question in ("Tom has 12 apples.", "How many?"))
    rows = [(first, [9, 8], "stop"), (first, [7], "length"), (first, [6], "stop"), (second, [5, 4], "stop")]
    table = pl.DataFrame(rows, schema=["prompt_ids", "completion_ids", "finish_reason"], orient="row")
    table.write_parquet(tmp_path / "samples.parquet")
    sampler = parts.get("tasks.samplers", str(STUDY / "pooled.py"), "sampler")
    options = sampler.Options(earlier=tmp_path / "samples.parquet", each=2)
    prompts, decoding = [first] * 3 + [second] * 3, Decoding(4, temperature=1.0)
    made = sampler.completions(options, policy_folder, tokenizer, prompts, decoding, range(6), 2, "cpu")
    found = {one.row: one for one in made}
    assert [(found[row].ids, found[row].ended) for row in (0, 1, 3)] == [([9, 8], True), ([7], False), ([5, 4], True)]
    plain = parts.get("tasks.samplers", "hf", "sampler")
    fresh = plain.completions(plain.Options(), policy_folder, tokenizer, prompts, decoding, range(6), 2, "cpu")
    assert [found[row] for row in (2, 4, 5)] == [
        one for one in sorted(fresh, key=lambda one: one.row) if one.row in (2, 4, 5)
    ]
