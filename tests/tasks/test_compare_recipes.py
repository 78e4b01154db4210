"""Recipes side by side: means, paired differences and their tests, on predictions written by hand."""

import polars as pl
import pytest

from tasks.compare_recipes import accuracies, crossed_bootstrap, differences, gathered, holm, markdown
from tasks.errors import UserError
from tasks.forest import forest
from tasks.records import table, write_table

COST = {"learning_rate": 1e-3, "seconds": 12.4, "tokens": 1_250_000}


@pytest.fixture
def write(tmp_path):
    def write(name, right):
        """Predictions for as many problems as `right` has letters: y is a right one."""
        rows = [
            {"benchmark": "test", "problem_id": str(number), "number": 0, "completion": "", "extracted_answer": None,
             "is_right": letter == "y"}
            for number, letter in enumerate(right)
        ]  # fmt: skip
        write_table(table("predictions", rows), "predictions", tmp_path / f"{name}.parquet")
        return tmp_path / f"{name}.parquet"

    return write


@pytest.fixture
def found(write):
    return gathered(
        {
            ("sft", 0): write("a", "yynnnnnnnn"),
            ("sft", 1): write("b", "yyyynnnnnn"),
            ("rlmec", 0): write("c", "nyyyyyynnn"),
            ("rlmec", 1): write("d", "yyyyyyyynn"),
        }
    )


def test_a_mean_is_over_seeds_and_problems(found):
    rlmec, sft = accuracies(found, {"rlmec": COST, "sft": COST}).to_dicts()
    assert (rlmec["recipe"], rlmec["mean"]) == ("rlmec", pytest.approx((6 + 8) / 20))
    assert (sft["recipe"], sft["mean"]) == ("sft", pytest.approx((2 + 4) / 20))
    assert sft["seeds"] == [{"seed": 0, "right": 2, "total": 10}, {"seed": 1, "right": 4, "total": 10}]
    assert sft["low"] < sft["mean"] < sft["high"]


def test_a_difference_is_paired_by_seed_and_problem(found):
    (row,) = differences(found, "sft").to_dicts()
    assert (row["recipe"], row["difference"]) == ("rlmec", pytest.approx(0.4))  # 14/20 − 6/20
    # seed 0: rlmec alone solves 2, 3, 4, 5 and 6, sft alone 0; seed 1: rlmec alone 4, 5, 6 and 7. A problem counts
    # once: rlmec wins 2 to 7, sft wins 0. So 6 against 1: p = 2 · (1 + 7) / 2⁷
    assert row["p_mcnemar"] == pytest.approx(2 * 8 / 128)
    assert row["low"] < 0.4 < row["high"]


def test_other_problems_cannot_be_compared(write):
    with pytest.raises(UserError, match="not about the same problems"):
        gathered({("sft", 0): write("a", "yyn"), ("rlmec", 0): write("b", "yy")})


def test_the_smallest_p_is_multiplied_by_the_number_of_tests():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 · .01; 2 · .03; max(.06, 1 · .04)
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_that_varies_between_seeds_is_less_sure_than_its_problems_say():
    """Mean 0.25 either way, 200 problems; in one grid each seed has it, in the other one seed of four has it all."""
    every = [[1.0] * 50 + [0.0] * 150] * 4
    one = [[1.0] * 200] + [[0.0] * 200] * 3
    assert crossed_bootstrap(every)[0] == crossed_bootstrap(one)[0] == 0.25
    (_, low, _, sure), (_, wide, _, unsure) = crossed_bootstrap(every), crossed_bootstrap(one)
    assert low > 0.15
    assert wide == 0.0  # (3/4)⁴ = 32 % of resamples draw no such seed
    assert unsure == pytest.approx(2 * 0.316, abs=0.05)
    assert sure == pytest.approx(2 / 10_000)


def test_one_seed_resamples_problems_alone():
    mean, low, high, _ = crossed_bootstrap([[1.0] * 80 + [0.0] * 20])
    # the binomial's standard error is √(0.8 · 0.2 / 100) = 0.04
    assert (mean, low, high) == (0.8, pytest.approx(0.72, abs=0.02), pytest.approx(0.88, abs=0.02))


def test_the_table_in_markdown_has_a_row_a_recipe(found):
    text = markdown(accuracies(found, {"rlmec": COST, "sft": COST}), differences(found, "sft"))
    head, line, rlmec, sft = text.splitlines()
    assert head == "| recipe | test | test − sft | learning rate | seconds | million tokens |"
    assert set(line) == set("| -")
    assert sft.startswith("| `sft` | 30.0 [")
    assert sft.endswith("| – | 0.001 | 12 | 1.25 |")
    assert "| +40.0 [" in rlmec


def test_the_figure_shows_every_recipe_and_baseline(found, tmp_path):
    both = pl.concat([differences(found, base) for base in ("sft", "rlmec")])
    forest(both, tmp_path / "forest.png")
    assert (tmp_path / "forest.png").read_bytes().startswith(b"\x89PNG")
