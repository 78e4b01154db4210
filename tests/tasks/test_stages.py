"""The stages as a notebook would call them: files in, files out, with a model too small to be right."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
import torch

from models import policy
from models.batch import Example
from models.logprobs import completion_logprobs
from models.loop import Optimisation
from tasks.errors import UserError
from tasks.evaluate import EvaluateOptions, evaluate
from tasks.lessons import Lessons
from tasks.prompts import encode, solution_completion, solve_prompt
from tasks.records import read_table, stable_id, table, write_table
from tasks.rewrite import RewriteOptions, forced_start, rewrite
from tasks.sample import SampleOptions, sample
from tasks.score import ScoreOptions, score
from tasks.teach import TeachOptions, teach
from tasks.train_policy import TrainPolicyOptions, train_policy
from tasks.train_reward_model import TrainRewardModelOptions, train_reward_model
from tasks.warm_up import Architecture, WarmUpOptions, is_surely_above, until_next_look, warm_up

PROBLEMS = [
    {
        "problem_id": stable_id(start, more),
        "question": f"Tom has {start} apples. He buys {more} more. How many apples does Tom have now?",
        "solution": f"Tom has {start}+{more}={start + more} apples.\nThe answer is {start + more}.",
        "answer": str(start + more),
        "options": None,
        "source": "tiny",
        "split": "train",
    }
    for start, more in [(12, 5), (3, 4), (20, 7), (8, 9)]
]
RLMEC = TrainPolicyOptions()
FAST = Optimisation(learning_rate=1e-3)


def sample_of(tokenizer, problem, text, ended=True):
    """A row of the samples table as if the policy had written `text`."""
    ids = solution_completion(tokenizer, text) if ended else encode(tokenizer, text)
    return {
        "sample_id": stable_id(problem["problem_id"], ids),
        "problem_id": problem["problem_id"],
        "prompt_ids": solve_prompt(tokenizer, problem["question"], None),
        "completion_ids": ids,
        "completion": text,
        "finish_reason": "stop" if ended else "length",
        "extracted_answer": None,
        "is_right": text.endswith(f"The answer is {problem['answer']}."),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory, policy_folder, tokenizer):
    """Every stage once, on two right and four wrong samples of four problems."""
    root = tmp_path_factory.mktemp("run")
    paths = {
        "policy": policy_folder,
        "problems": root / "problems.parquet",
        "samples": root / "samples.parquet",
    }
    write_table(table("problems", PROBLEMS), "problems", paths["problems"])
    rows = []
    for problem in PROBLEMS:
        wrong = str(int(problem["answer"]) + 1)
        rows.append(sample_of(tokenizer, problem, problem["solution"].replace(problem["answer"], wrong)))
    rows += [sample_of(tokenizer, problem, problem["solution"]) for problem in PROBLEMS[:2]]
    write_table(table("samples", rows), "samples", paths["samples"])

    def call(stage, options, output, **inputs):
        out = root / stage.__name__
        out.mkdir()
        stage(options, {name: paths[source] for name, source in inputs.items()}, out, seed=0)
        paths[output] = out

    call(teach, TeachOptions(), "taught", samples="samples", problems="problems", tokenizer="policy")
    paths["teacher_rewrites"] = paths["taught"] / "rewrites.parquet"
    grm = TrainRewardModelOptions(updates=3, batch_size=4, unseen_share=0.0, optimisation=FAST)
    call(train_reward_model, grm, "grm", policy="policy", samples="samples", problems="problems",
         rewrites="teacher_rewrites")  # fmt: skip
    paths["reward_model"], paths["pairs"] = paths["grm"] / "model", paths["grm"] / "pairs.parquet"
    call(rewrite, RewriteOptions(max_new_tokens=20), "rewritten", reward_model="reward_model", samples="samples",
         problems="problems", teacher_rewrites="teacher_rewrites", pairs="pairs")  # fmt: skip
    call(score, ScoreOptions(batch_size=2), "scored", reward_model="reward_model", policy="policy",
         samples="samples", problems="problems")  # fmt: skip
    paths["token_rewards"] = paths["scored"] / "token_rewards.parquet"
    return SimpleNamespace(paths=paths, root=root)


def test_the_scripted_teacher_mends_every_sample_with_two_edits(run):
    rewrites = read_table("rewrites", run.paths["teacher_rewrites"])
    right = {problem["solution"] for problem in PROBLEMS}
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


def test_a_wrong_sample_without_an_accepted_rewrite_keeps_its_rewards_and_imitates_nothing(run, tokenizer):
    """The authors drop it; and right or wrong comes from the verifier, never from what the GRM located."""
    empty = run.root / "no_rewrites.parquet"
    write_table(table("rewrites", []), "rewrites", empty)
    edits = run.root / "no_edits.parquet"
    write_table(table("edits", []), "edits", edits)
    inputs = {
        "samples": run.paths["samples"],
        "token_rewards": run.paths["token_rewards"],
        "rewrites": empty,
        "edits": edits,
    }
    lessons = Lessons(RLMEC, inputs, tokenizer)
    assert (len(lessons.right), len(lessons.wrong), lessons.rewritten) == (2, 4, 0)
    for (example,) in map(lessons.examples, lessons.wrong):
        assert "weight" not in example.scores
        assert any(reward < 0 for reward in example.scores["reward"])
    for (example,) in map(lessons.examples, lessons.right):
        assert set(example.scores["weight"]) == {0.5}
        assert all(reward >= 0 for reward in example.scores["reward"])


def test_an_accepted_rewrite_is_imitated_with_one_on_edits_and_one_half_elsewhere(run, tokenizer):
    from tasks.align import AlignOptions, align

    edits = run.root / "teacher_edits"
    edits.mkdir()
    align(AlignOptions(), {"samples": run.paths["samples"], "rewrites": run.paths["teacher_rewrites"]}, edits)
    inputs = {"samples": run.paths["samples"], "token_rewards": run.paths["token_rewards"],
              "rewrites": run.paths["teacher_rewrites"], "edits": edits / "edits.parquet"}  # fmt: skip
    lessons = Lessons(RLMEC, inputs, tokenizer)
    sampled, rewritten = lessons.examples(lessons.wrong[0])
    edited = [
        tokenizer.decode([token])
        for token, w in zip(rewritten.completion_ids, rewritten.scores["weight"], strict=True)
        if w == 1.0
    ]
    # 12+5=18 → 12+5=17 and "The answer is 18." → "… 17.": one digit each.
    assert edited == ["7", "7"]
    assert set(rewritten.scores["weight"]) == {0.5, 1.0}
    assert sampled.prompt_ids == rewritten.prompt_ids


@pytest.fixture(scope="module")
def taught(run):
    """The tables of the run with the teacher's rewrites, aligned and paired, in the place of the GRM's."""
    from tasks.align import AlignOptions, align
    from tasks.pair import PairOptions, pair

    tables = {"samples": run.paths["samples"], "rewrites": run.paths["teacher_rewrites"], "policy": run.paths["policy"]}
    out = run.root / "taught_tables"
    out.mkdir()
    align(AlignOptions(), tables, out)
    pair(PairOptions(batch_size=3), tables, out)
    paths = {name: out / f"{name}.parquet" for name in ("edits", "pairs")}
    return {**tables, **paths, "problems": run.paths["problems"], "token_rewards": run.paths["token_rewards"]}


def lessons_of(recipe, taught, tokenizer):
    from flows.config import load_config

    options = load_config("smoke", recipe).train_policy
    return Lessons(options, taught, tokenizer)


def test_a_pair_holds_the_sample_and_its_rewrite_with_the_reference_policys_logprobs(taught, tokenizer):
    lessons = lessons_of("dpo", taught, tokenizer)
    assert (lessons.right, len(lessons.wrong), lessons.paired) == ([], 4, 4)  # a right sample has no pair
    model, _ = policy.load(taught["policy"])
    sampled, rewritten = lessons.examples(lessons.wrong[0])
    assert (sampled.is_sample, rewritten.is_sample, sampled.pair == rewritten.pair) == (True, False, True)
    for example in (sampled, rewritten):
        ((_, values),) = completion_logprobs(model, [Example(example.prompt_ids, example.completion_ids)])
        assert example.reference_logprobs == pytest.approx(values.tolist(), abs=1e-4)
        assert example.scores == {}


def test_in_hindsight_every_prompt_says_whether_the_solution_is_right(taught, tokenizer):
    lessons = lessons_of("coh", taught, tokenizer)
    sampled, rewritten = lessons.examples(lessons.wrong[0])
    (own,) = lessons.examples(lessons.right[0])
    ends = [tokenizer.decode(example.prompt_ids).splitlines()[-1] for example in (sampled, rewritten, own)]
    assert ends == ["Wrong solution:", "Right solution:", "Right solution:"]
    assert {weight for example in (sampled, rewritten, own) for weight in example.scores["weight"]} == {1.0}


@pytest.mark.parametrize(("recipe", "right", "wrong"), [("rft", 2, 0), ("sft-on-rewrites", 0, 4), ("rlmec", 2, 4)])
def test_a_sample_that_teaches_nothing_is_not_drawn(recipe, right, wrong, taught, tokenizer):
    lessons = lessons_of(recipe, taught, tokenizer)
    assert (len(lessons.right), len(lessons.wrong)) == (right, wrong)


def test_every_sample_may_bring_its_problems_reference_solution(taught, tokenizer):
    options = TrainPolicyOptions(imitate=("references",))  # beside token rewards
    lessons = Lessons(options, taught, tokenizer)
    _, reference = lessons.examples(lessons.wrong[0])
    sample = read_table("samples", taught["samples"]).row(lessons.wrong[0], named=True)
    (solution,) = [problem["solution"] for problem in PROBLEMS if problem["problem_id"] == sample["problem_id"]]
    assert list(reference.completion_ids) == solution_completion(tokenizer, solution)
    assert list(reference.prompt_ids) == sample["prompt_ids"]


def test_steps_are_the_lines_of_a_completion_and_groups_its_problem(taught, tokenizer):
    lessons = lessons_of("rlmec", taught, tokenizer)
    (example,) = lessons.examples(lessons.right[0])
    text = tokenizer.decode(example.completion_ids, skip_special_tokens=True)
    first = [token for token, step in zip(example.completion_ids, example.steps, strict=True) if step == 0]
    assert tokenizer.decode(first) == text.split("\n")[0] + "\n"
    assert set(example.steps) == {0, 1}
    assert len({lessons.examples(row)[0].group for row in lessons.wrong}) == 4  # four problems


def test_pairs_are_wanted_and_there_is_none(run, taught, tokenizer):
    from tasks.pair import PairOptions, pair

    empty = run.root / "without"
    empty.mkdir()
    write_table(table("rewrites", []), "rewrites", empty / "rewrites.parquet")
    tables = {**taught, "rewrites": empty / "rewrites.parquet"}
    pair(PairOptions(), tables, empty)
    with pytest.raises(UserError, match="no rewrite was accepted, so there is no pair to learn from"):
        lessons_of("dpo", {**tables, "pairs": empty / "pairs.parquet"}, tokenizer)


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


def test_a_sample_without_scores_is_named(run, tokenizer):
    empty = run.root / "no_scores.parquet"
    write_table(table("token_rewards", []), "token_rewards", empty)
    edits = run.root / "no_edits.parquet"
    write_table(table("edits", []), "edits", edits)
    inputs = {"samples": run.paths["samples"], "token_rewards": empty,
              "rewrites": run.paths["teacher_rewrites"], "edits": edits}  # fmt: skip
    with pytest.raises(UserError, match="has no token rewards; rerun stage score"):
        Lessons(RLMEC, inputs, tokenizer)


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
    assert samples["problem_id"].to_list() == [problem["problem_id"] for problem in PROBLEMS]
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
    cut = sample_of(tokenizer, PROBLEMS[0], "Tom has 12", ended=False)
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
