"""The benchmarks: what they measure with, that both sides of a contest agree, and that every script starts."""

import importlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("[!_]*.py") if 'if __name__ == "__main__"' in path.read_text())
CPU = torch.device("cpu")


@pytest.fixture
def script(monkeypatch):
    """Imports a script as Python finds it when it is run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_says_what_it_does(script, name, monkeypatch, capsys):
    if name == "overlap":
        pytest.skip("it takes no options")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        script(name).main()
    assert ended.value.code == 0
    assert f"benchmarks/{name}.py" in capsys.readouterr().out


def test_a_script_prints_a_table_with_the_machine_and_a_ratio():
    command = [sys.executable, str(FOLDER / "__main__.py"), "alignment", "--small"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert table.startswith("## Alignment\n\n`python benchmarks/alignment.py --rounds 1`, on ")
    assert f"torch {torch.__version__}" in table
    assert "| edit operations | " in table
    assert " × | 1000 × | " in table


def test_sides_take_turns_after_a_warm_up_of_both_and_change_who_is_first(script):
    measure, calls = script("measure"), []
    ours = measure.Side("ours", lambda: calls.append("ours"), 10)
    theirs = measure.Side("theirs", lambda: calls.append("theirs"), 10)
    rates = measure.in_turn(ours, theirs, 2)
    assert calls == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]
    assert len(rates.ratios) == 2


def test_a_row_has_medians_spreads_and_by_how_much_a_target_is_missed(script):
    """Ratios 2, 1 and 1.5: the median is 1.5, a quarter less than 2."""
    measure = script("measure")
    rates = measure.Rates([200.0, 1000.0, 1500.0], [100.0, 1000.0, 1000.0])
    row = measure.compared("steps", rates, 2.0, "the same ids")
    assert row[1:4] == ("1,000 (200 to 1,500)", "1,000 (100 to 1,000)", "1.5 × (1 to 2)")
    assert row[4:] == ("2 ×", "no, by 25 %", "the same ids")
    assert measure.verdict(2.0, 2.0) == "yes"
    assert measure.verdict(9.0, 8.0, at_most=True) == "no, by 12.5 %"


def test_a_sample_differs_from_its_rewrite_in_one_digit_and_the_samples_from_each_other(script):
    made = script("material").material("tiny", 2)
    for problem in made.problems:
        assert len({tuple(ids) for ids in problem.samples}) == 4
        for sample, rewrite in zip(problem.samples, problem.rewrites, strict=True):
            assert sum(a != b for a, b in zip(sample, rewrite, strict=True)) == 1
    assert script("material").reworded(random.Random(1), "a\nb\nThe answer is 3.").count("So ") <= 2


def test_a_beginning_that_rows_have_in_common_counts_once(script):
    """3 + 4 tokens, of which the first two are the same: 5 of 7 are left."""
    material = script("material")
    rows = [material.Example([5, 6], [7]), material.Example([5, 6], [8, 9])]
    assert material.tokens(rows) == 7
    assert material.distinct_share(rows) == pytest.approx(5 / 7)


@pytest.mark.parametrize("contest", ["pairs", "rollouts", "the method"])
def test_an_update_is_trls_with_the_same_loss_and_weights(script, monkeypatch, contest):
    """`duel` ends the benchmark where they are not."""
    policy_step = script("policy_step")
    monkeypatch.setattr(policy_step, "PROBLEMS", {"tiny": 1})
    monkeypatch.setattr(policy_step, "UPDATES", {"tiny": 1})
    rates, agreement, distinct = policy_step.duel("tiny", contest, policy_step.GROUPED, 1, CPU)
    assert len(rates.ratios) == 1
    assert agreement.startswith("loss to ")
    assert 0 < distinct < 1


def test_a_grm_prompt_is_the_one_that_stage_score_reads(script):
    from tasks.datasets import arithmetic
    from tasks.prompts import rewrite_prompt

    scoring = script("scoring")
    given = scoring.material("tiny", 1, 2)
    _, row = next(arithmetic.rows("train"))
    for example in scoring.grm_examples(given, given.problems):
        expected = rewrite_prompt(given.tokenizer, row["question"], None, row["solution"], example.completion_ids)
        assert example.prompt_ids == expected


def test_where_there_is_no_gpu_its_table_says_so(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    script("gpu").main()
    assert capsys.readouterr().out.count("| not measured |") >= 5
