"""`wrong_samples_of(7)`: 7 problems and a wrong sample of each, as inputs of stage teach. `drawn("hf", Decoding(9))`:
completions of four prompts by a sampler, with settings for a server that is near."""

import pytest

from tasks import parts
from tasks.prompts import solution_completion, solve_prompt
from tasks.records import stable_id, table, write_table


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
