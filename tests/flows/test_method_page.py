"""docs/method.md says what docs/method.py computes, and its prose has no number of its own."""

import importlib.util
import re
from math import log
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "method.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def method():
    spec = importlib.util.spec_from_file_location("method_page", DOCS / "method.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_says_what_the_script_computes(method):
    assert method.rewritten(PAGE) == PAGE, "run `python docs/method.py`"
    assert sorted(re.findall(r"<!-- computed: (\w+) -->", PAGE)) == sorted(method.BLOCKS)


def test_a_number_that_was_altered_is_seen(method):
    altered = PAGE.replace("= 0.0401", "= 0.0410")
    assert altered != PAGE
    assert method.rewritten(altered) == PAGE


def test_the_loss_is_what_pencil_and_paper_give():
    """Three tokens are punished, of which the one below 1 − ε = 0.7 adds nothing; the ratios 1.1 and 0.9 are within.

    −(−0.066 ln 0.55 − 0.045 ln 0.72) / 3, and 38 tokens to imitate, 4 of them edited.
    """
    reward = (0.06 * 1.1 * log(0.55) + 0.05 * 0.9 * log(0.72)) / 3
    imitation = -(log(0.25) + log(0.9) + log(0.7) + log(0.98) + 34 * 0.5 * log(0.98)) / 38
    assert f"L    = {reward:.4f} + 1 · {imitation:.4f} = {reward + imitation:.4f}\n" in PAGE
    published = (0.06 * 1.1 * log(0.55) + 0.1 * 0.7 * log(0.3) + 0.05 * 0.9 * log(0.72)) / 3
    assert f"rlmec-paper  = {3 * published:.4f} / 3 = {published:.4f}\n" in PAGE


def test_a_number_of_the_prose_is_a_setting_or_stands_in_a_block_or_in_the_results(method):
    computed = "".join(build() for build in method.BLOCKS.values())
    settings = {"0.1", "0.5", "0.3", "0.7"}  # β, the bounds, ε and 1 − ε
    ratios = {"0.96", "1.04"}  # the authors' bf16 ratios (see models/logprobs.py)
    results = (DOCS / "results.md").read_text(encoding="utf-8")
    prose = re.sub(r"```\n.*?```|\(https?://\S+\)|\[arXiv [\d.]+\]", "", PAGE, flags=re.DOTALL)
    unknown = [
        number
        for number in re.findall(r"(?<![\d.])\d+\.\d+(?!\d)", prose)
        if number not in settings | ratios and number not in computed and number not in results
    ]
    assert unknown == []
