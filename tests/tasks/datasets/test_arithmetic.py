"""The generated problems: right by construction, disjoint, and the same everywhere."""

import subprocess
import sys

import pytest

from tasks import datasets
from tasks.answers import is_right
from tasks.datasets import arithmetic
from tasks.equations import equations, every_equation_holds

SPLITS = {split: [record for _, record in arithmetic.rows(split)] for split in arithmetic.SPLITS}


@pytest.mark.parametrize("split", arithmetic.SPLITS)
def test_every_solution_holds_and_states_its_answer(split):
    for record in SPLITS[split]:
        assert every_equation_holds(record["solution"])
        assert is_right(record["solution"], record["answer"], "math")


@pytest.mark.parametrize("split", arithmetic.SPLITS)
def test_every_line_but_the_last_is_one_step_with_one_equation(split):
    fewest, most = arithmetic.KINDS[split].steps
    for record in SPLITS[split]:
        *steps, answer = record["solution"].split("\n")
        assert fewest <= len(steps) <= most
        assert [len(equations(line)) for line in steps] == [1] * len(steps)
        assert answer == f"The answer is {record['answer']}."


def test_no_question_is_in_two_splits_or_twice_in_one():
    questions = [record["question"] for records in SPLITS.values() for record in records]
    assert len(set(questions)) == len(questions)


def test_hard_problems_have_four_steps_and_big_ones_larger_numbers():
    def largest(split):
        return max(int(record["answer"]) for record in SPLITS[split])

    assert arithmetic.KINDS["hard"].steps == (4, 4)
    assert largest("big") > largest("test")


def test_another_process_makes_the_same_problems():
    code = "from tasks import datasets; print(datasets.load('arithmetic', 'hard').hash_rows(0).sum())"
    sums = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    }
    assert sums == {f"{datasets.load('arithmetic', 'hard').hash_rows(0).sum()}\n"}
