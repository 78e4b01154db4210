"""What tests of stages share: every stage once on a few samples (`run`, `taught`), with a model too small to be right;
`wrong_samples_of(7)`, problems with a wrong sample each; `drawn("hf", Decoding(9))`, the completions of a sampler."""

from functools import partial
from types import SimpleNamespace

import pytest

from models.loop import Optimisation
from tasks import parts
from tasks.prompts import encode, solution_completion, solve_prompt
from tasks.records import stable_id, table, write_table
from tasks.rewrite import RewriteOptions, rewrite
from tasks.score import ScoreOptions, score
from tasks.teach import TeachOptions, teach
from tasks.train_policy import TrainPolicyOptions
from tasks.train_reward_model import TrainRewardModelOptions, train_reward_model

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


@pytest.fixture(scope="session")
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
    return SimpleNamespace(paths=paths, root=root, problems=PROBLEMS, sample_of=partial(sample_of, tokenizer))


@pytest.fixture(scope="session")
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


@pytest.fixture
def wrong_samples_of(tmp_path, policy_folder, tokenizer):
    """`wrong_samples_of(7)` writes 7 problems with a wrong sample each, and gives the inputs of stage teach."""

    def write(count):
        problems, samples = [], []
        for number in range(count):
            total = 2 * number + 3
            solution = f"Tom has {number}+{number + 3}={total} apples.\nThe answer is {total}."
            problem = {"problem_id": stable_id("p", number), "question": f"Tom has {number} apples, then?",
                       "solution": solution, "answer": str(total), "source": "t", "split": "train"}  # fmt: skip
            text = solution.replace(f"={total}", f"={total + 1}").replace(f"is {total}", f"is {total + 1}")
            ids = solution_completion(tokenizer, text)
            samples.append({"sample_id": stable_id("s", number), "problem_id": problem["problem_id"],
                            "prompt_ids": solve_prompt(tokenizer, problem["question"], None), "completion_ids": ids,
                            "completion": text, "finish_reason": "stop", "is_right": False})  # fmt: skip
            problems.append(problem)
        inputs = {"samples": tmp_path / "samples.parquet", "problems": tmp_path / "problems.parquet"}
        write_table(table("problems", problems), "problems", inputs["problems"])
        write_table(table("samples", samples), "samples", inputs["samples"])
        return inputs | {"tokenizer": policy_folder}

    return write


@pytest.fixture
def drawn(policy_folder, tokenizer):
    """The completions of a sampler, in the prompts' order; `server` names one that is asked."""

    def draw(sampler, decoding, server=None, questions=("Tom has 12 apples.", "He buys 5 more.", "How many?", "Tom?")):
        module = parts.get("tasks.samplers", sampler, "sampler")
        near = {"model": str(policy_folder), "base_url": server, "first_wait": 0.001, "longest_wait": 0.01, "tries": 3}
        options = parts.settings(module.Options, near if server else {}, "settings")
        prompts = [solve_prompt(tokenizer, question, None) for question in questions]
        made = module.completions(options, policy_folder, tokenizer, prompts, decoding, range(len(prompts)), 2, "cpu")
        return sorted(made, key=lambda one: one.row)

    return draw
