"""The stages as a notebook would call them: files in, files out, with a model too small to be right."""

import json

import polars as pl
import pytest
import torch

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from models.loop import Optimisation
from tasks.errors import UserError
from tasks.evaluate import EvaluateOptions, evaluate
from tasks.prompts import encode, solution_completion
from tasks.records import read_table, stable_id, table, write_table
from tasks.rewrite import forced_start
from tasks.sample import SampleOptions, sample
from tasks.score import ScoreOptions, score
from tasks.train_policy import TrainPolicyOptions, train_policy
from tasks.train_reward_model import (
    TrainRewardModelOptions,
    held_out_place,
    parts_of,
    right_samples,
    train_reward_model,
)
from tasks.warm_up import Architecture, WarmUpOptions, is_surely_above, until_next_look, warm_up

FAST = Optimisation(learning_rate=1e-3)


def test_the_scripted_teacher_mends_every_sample_with_two_edits(run):
    rewrites = read_table("rewrites", run.paths["teacher_rewrites"])
    right = {problem["solution"] for problem in run.problems}
    assert set(rewrites["rewrite"]) == right
    assert rewrites["reject_reason"].null_count() == 4
    assert set(rewrites["located_step"]) == {1}


def test_every_wrong_sample_has_a_rewrite_row_whether_accepted_or_not(run):
    rewrites = read_table("rewrites", run.paths["rewritten"] / "rewrites.parquet")
    assert len(rewrites) == 4
    assert rewrites.filter(pl.col("reject_reason").is_null() & ~pl.col("is_right")).is_empty()


def test_scores_are_the_grms_probabilities_and_the_policys_logprobs(run, tokenizer):
    samples = read_table("samples", run.paths["samples"])
    scores = read_table("token_rewards", run.paths["token_rewards"])
    model, _ = policy.load(run.paths["policy"])
    for sampled, scored in zip(samples.iter_rows(named=True), scores.iter_rows(named=True), strict=True):
        ids = torch.tensor([[*sampled["prompt_ids"], *sampled["completion_ids"]]])
        with torch.no_grad():
            logprobs = model(input_ids=ids).logits[0].log_softmax(-1)
        start = len(sampled["prompt_ids"])
        plain = [float(logprobs[start + t - 1, token]) for t, token in enumerate(sampled["completion_ids"])]
        assert scored["reference_logprobs"] == pytest.approx(plain, abs=1e-4)
        clip = (lambda r: min(max(r, 0), 0.5)) if sampled["is_right"] else (lambda r: min(max(r, -0.1), 0))
        assert scored["rewards"] == pytest.approx([clip(p - 0.5) for p in scored["probabilities"]], abs=1e-6)


def test_the_outcome_gives_every_token_what_the_answer_earned(run, tmp_path):
    options = ScoreOptions(credit="outcome", settings={"wrong": -0.5})
    assert options.needs == ()
    inputs = {name: run.paths[name] for name in ("policy", "samples", "problems")}
    score(options, inputs, tmp_path)
    scores = read_table("token_rewards", tmp_path / "token_rewards.parquet")
    is_right = read_table("samples", run.paths["samples"])["is_right"]
    for row, right in zip(scores.iter_rows(named=True), is_right, strict=True):
        assert set(row["rewards"]) == {1.0 if right else -0.5}
        assert row["probabilities"] is None


def test_the_reward_model_says_so_when_no_rewrite_was_accepted(run, tmp_path):
    empty = tmp_path / "rewrites.parquet"
    write_table(table("rewrites", []), "rewrites", empty)
    inputs = {name: run.paths[name] for name in ("policy", "samples", "problems")} | {"rewrites": empty}
    with pytest.raises(UserError, match="no teacher rewrite was accepted"):
        train_reward_model(TrainRewardModelOptions(), inputs, tmp_path, seed=0)


def test_recipe_sft_needs_no_samples(run, tmp_path):
    options = TrainPolicyOptions(imitate=("references",), objectives={"weighted_nll": {}}, updates=2, batch_size=4,
                                 optimisation=FAST)  # fmt: skip
    assert options.tables == ()
    train_policy(options, {"policy": run.paths["policy"], "problems": run.paths["problems"]}, tmp_path, seed=0)
    assert (tmp_path / "model" / "model.safetensors").is_file()


def test_sampling_twice_gives_the_same_bytes_and_marks_what_was_cut(run, tmp_path, tokenizer):
    options = SampleOptions(samples_per_problem=3, max_new_tokens=6, temperature=3.0, top_p=1.0)
    inputs = {"policy": run.paths["policy"], "problems": run.paths["problems"]}
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        sample(options, inputs, tmp_path / name, seed=1)
    bytes_of = [(tmp_path / name / "samples.parquet").read_bytes() for name in ("first", "second")]
    assert bytes_of[0] == bytes_of[1]
    samples = read_table("samples", tmp_path / "first" / "samples.parquet")
    assert len(samples) == 12
    for row in samples.iter_rows(named=True):
        ended = row["completion_ids"][-1] == tokenizer.eos_token_id
        assert (row["finish_reason"] == "stop") == ended
        assert tokenizer.eos_token_id not in row["completion_ids"][:-1]


def test_the_same_text_for_two_problems_is_two_samples_and_twice_for_one_is_one(run, tmp_path):
    """At a temperature of nearly 0 all three completions of a problem are the same."""
    options = SampleOptions(samples_per_problem=3, max_new_tokens=2, temperature=1e-6)
    sample(options, {"policy": run.paths["policy"], "problems": run.paths["problems"]}, tmp_path, seed=1)
    samples = read_table("samples", tmp_path / "samples.parquet")
    assert samples["problem_id"].to_list() == [problem["problem_id"] for problem in run.problems]
    assert samples["sample_id"].n_unique() == 4


def test_evaluation_counts_right_answers_for_each_benchmark(run, tmp_path):
    logged = {}
    inputs = {"policy": run.paths["policy"], "problems": run.paths["problems"]}
    evaluate(EvaluateOptions(max_new_tokens=4), inputs, tmp_path, log=lambda m, step=None: logged.update(m))
    predictions = read_table("predictions", tmp_path / "predictions.parquet")
    assert len(predictions) == 4
    assert (logged["total/tiny"], logged["right/tiny"]) == (4, int(predictions["is_right"].sum()))


def test_a_warm_up_that_misses_its_band_says_so(run, tmp_path):
    logged = {}
    options = WarmUpOptions(architecture=Architecture(layers=1, width=16, heads=2, feed_forward=32, vocabulary=300),
                            updates=3, batch_size=2, band=(0.9, 1.0), check_every=2, max_new_tokens=4)  # fmt: skip
    inputs = {"train": run.paths["problems"], "development": run.paths["problems"]}
    warm_up(options, inputs, tmp_path, seed=0, log=lambda m, step=None: logged.update(m))
    assert (logged["band_reached"], logged["updates"], logged["development_accuracy"]) == (0.0, 3, 0.0)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["model_type"] == "llama"


def test_the_lines_before_the_located_one_are_forced_as_they_were_sampled(tokenizer):
    ids = solution_completion(tokenizer, "One.\nTwo.\nThree.")
    assert tokenizer.decode(forced_start(tokenizer, ids, 3)) == "One.\nTwo.\n"
    assert forced_start(tokenizer, ids, 1) == []
    assert forced_start(tokenizer, ids, None) == []


def test_truncated_samples_are_scored_as_they_are_without_an_eos(run, model, tokenizer):
    cut = run.sample_of(run.problems[0], "Tom has 12", ended=False)
    ((_, values),) = completion_logprobs(model, [Example(cut["prompt_ids"], cut["completion_ids"])])
    assert len(values) == len(encode(tokenizer, "Tom has 12"))


@pytest.mark.parametrize(("reached", "stops"), [(0.72, False), (0.75, False), (0.76, True), (0.8, True)])
def test_a_warm_up_stops_when_it_is_surely_in_its_band_and_not_at_a_lucky_look(reached, stops):
    """Of 300 problems, the 95 % Wilson interval of 75 % begins at 69.8 %, that of 76 % at 70.9 %."""
    assert is_surely_above(0.70, reached, problems=300) == stops


@pytest.mark.parametrize(("reached", "updates"), [(0.52, 100), (0.53, 25), (0.69, 25)])
def test_a_warm_up_looks_four_times_as_often_near_its_band(reached, updates):
    """Near begins at three quarters of the band's lower end: 0.75 · 70 % = 52.5 %."""
    assert until_next_look(WarmUpOptions(check_every=100, band=(0.70, 0.82)), reached) == updates
    assert until_next_look(WarmUpOptions(check_every=100), reached) == 100


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_samples_shows_the_reward_model_no_reference_solution(share):
    options = TrainRewardModelOptions(without_reference=share)
    problems = {"p": {"question": "How many?", "options": None, "solution": "7"}}
    samples = [{"sample_id": stable_id(number), "problem_id": "p", "completion_ids": [1]} for number in range(200)]
    without = sum(parts_of(sample, problems, options)[2] is None for sample in samples)
    assert abs(without - 200 * share) <= 25  # √(200 · 0.25) = 7 is one standard deviation
    assert share == 0.5 or without == 200 * share


def test_a_reward_model_may_score_problems_that_have_no_reference_solution(run, tmp_path):
    inputs = {name: run.paths[name] for name in ("policy", "samples", "problems", "reward_model")}
    found = []
    for has_reference in (True, False):
        out = tmp_path / str(has_reference)
        out.mkdir()
        score(ScoreOptions(settings={"with_reference": has_reference}), inputs, out)
        found.append(read_table("token_rewards", out / "token_rewards.parquet")["probabilities"].to_list())
    assert found[0] != found[1]


def test_right_samples_of_problems_that_are_held_out_are_not_copied(tmp_path):
    """Of 40 problems, a right sample each, half is held out, by id."""
    rows = [
        {"sample_id": f"s{number}", "problem_id": f"p{number}", "prompt_ids": [1], "completion_ids": [2],
         "completion": "", "finish_reason": "stop", "extracted_answer": "1", "is_right": True}
        for number in range(40)
    ]  # fmt: skip
    write_table(table("samples", rows), "samples", tmp_path / "samples.parquet")
    copied = right_samples(tmp_path / "samples.parquet", most=40, unseen_share=0.5)["problem_id"].to_list()
    assert 10 < len(copied) < 30
    assert set(copied) == {row["problem_id"] for row in rows if held_out_place(row["problem_id"]) >= 0.5}
    assert len(right_samples(tmp_path / "samples.parquet", most=7, unseen_share=0.5)) == 7
