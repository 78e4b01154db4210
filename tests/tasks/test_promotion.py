"""When a candidate becomes champion: cases worked by hand."""

import pytest

from tasks.intervals import mcnemar
from tasks.promotion import decide


def row(benchmark, gained, lost, problems=1000):
    """A row of the comparison: the candidate alone solves `gained` problems, the champion alone `lost`."""
    return {
        "benchmark": benchmark,
        "only_first": gained,
        "only_second": lost,
        "difference": (gained - lost) / problems,
        "p_mcnemar": mcnemar(gained, lost),
    }


def test_a_candidate_that_is_better_beyond_chance_is_promoted():
    decision = decide([row("test", 80, 40)], level=0.05)
    assert decision.promoted
    assert decision.reason == (
        "it solves 80 problems that the champion does not, and misses 40 that it solves (p = 0.00033)"
    )


def test_one_that_may_be_better_by_chance_is_not():
    decision = decide([row("test", 60, 40)], level=0.05)
    assert not decision.promoted
    assert decision.p == pytest.approx(0.0569, abs=1e-4)
    assert decision.reason.startswith("it is not better at level 0.05: it solves 60 problems")
    assert decide([row("test", 60, 40)], level=0.06).promoted


def test_one_that_is_worse_is_not_however_surely():
    assert not decide([row("test", 40, 80)], level=0.05).promoted
    assert not decide([row("test", 0, 0)], level=0.05).promoted


def test_the_benchmarks_count_together():
    """12 to 4 has p = 0.077, twice that, 24 to 8, p = 0.007."""
    assert not decide([row("test", 12, 4)], level=0.05).promoted
    assert decide([row("test", 12, 4), row("hard", 12, 4)], level=0.05).promoted


def test_a_gain_does_not_buy_a_loss_elsewhere():
    decision = decide([row("test", 200, 40), row("hard", 3, 15)], level=0.05)
    assert not decision.promoted
    assert decision.reason == "it is worse on hard (-1.2 points, p = 0.0075)"  # 2 · P(X ≤ 3), X ~ B(18, ½)
