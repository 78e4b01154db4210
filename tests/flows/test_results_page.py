"""docs/results.md says what the comparisons printed that docs/results/ keeps, and names no recipe that is not there."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace

from flows.config import load_config

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "results.md").read_text(encoding="utf-8")
results = SimpleNamespace(**runpy.run_path(str(DOCS / "results.py")))

SEEDS = {"mine": (7, 8, 6), "sft": (6, 8, 5)}  # of 10 problems solved under each of three seeds
COMPARED = {
    "start": {"test": [0.2, 0.3, 0.1]},
    "recipes": {
        name: {"test": {"mean": sum(right) / 30, "low": 0.5, "high": 0.9,
                        "seeds": [{"seed": seed, "right": n, "total": 10} for seed, n in enumerate(right)]},
               "learning_rate": 1e-3, "seconds": 61.2, "tokens": 950_000.0}
        for name, right in SEEDS.items()
    },
    "differences": [{"recipe": "mine", "against": "sft", "benchmark": "test", "difference": 2 / 30, "low": -0.01,
                     "high": 0.14, "p_corrected": 0.0341}],
}  # fmt: skip


def test_the_page_says_what_the_comparisons_printed():
    assert results.rewritten(PAGE) == PAGE, "run `python docs/results.py`"


def test_a_number_that_was_altered_is_seen():
    altered = re.sub(r"\[\+(\d)", lambda match: f"[+{(int(match[1]) + 1) % 10}", PAGE, count=1)
    assert altered != PAGE
    assert results.rewritten(altered) == PAGE


def test_recipes_stand_in_the_order_of_what_they_solve_above_what_they_start_from():
    lines = results.accuracy(COMPARED).splitlines()
    assert lines[0] == "| recipe | test | learning rate | seconds | million tokens |"
    assert lines[2] == "| `mine` | 70.0 [50.0, 90.0] | 0.001 | 61 | 0.95 |"  # 21 of 30
    assert lines[3].startswith("| `sft` | 63.3 ")  # 19 of 30
    assert lines[4].startswith("| start | 20.0 |")  # (0.2 + 0.3 + 0.1) / 3


def test_a_difference_says_in_how_many_seeds_the_recipe_is_ahead():
    """21 − 19 of 30, ahead under the first and the third seed: 7 to 6, 8 to 8, 6 to 5."""
    assert results.differences(COMPARED, "sft").splitlines()[2] == "| `mine` | +6.7 [-1.0, +14.0], 2 of 3, p 0.034 |"


def test_recipes_that_are_as_far_ahead_stand_as_the_comparison_has_them():
    """All of them 2 of 30 ahead; a set would have them in another order in every process."""
    equal = [COMPARED["differences"][0] | {"recipe": name} for name in "hgfedcba"]
    recipes = COMPARED["recipes"] | dict.fromkeys("abcdefgh", COMPARED["recipes"]["mine"])
    lines = results.differences(COMPARED | {"recipes": recipes, "differences": equal}, "sft").splitlines()
    assert [line[3] for line in lines[2:]] == list("hgfedcba")


def test_levels_stand_below_each_other():
    lines = results.by_level([COMPARED, COMPARED]).splitlines()
    assert lines[0] == "| start | `mine` | `sft` | `mine` less `sft` |"
    assert lines[2] == lines[3] == "| 20.0, 30.0, 10.0 | 70.0 | 63.3 | +6.7 [-1.0, +14.0], 2 of 3, p 0.034 |"


def test_every_recipe_of_the_study_is_one(monkeypatch):
    monkeypatch.chdir(DOCS.parent)  # one names a credit source by its path
    recipes = sorted((DOCS / "results").glob("*.toml"))
    assert recipes
    for path in recipes:
        assert load_config("tiny", str(path)).recipe.description
