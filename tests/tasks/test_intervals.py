"""Intervals and tests, against their formulas by hand."""

import math

import numpy
import pytest
from scipy.stats import binomtest

from tasks.intervals import bootstrap, interval, mcnemar, wilson


def test_wilsons_interval_is_the_published_formula():
    # centre = (p + z²/2n) / (1 + z²/n), half width = z·√(p(1−p)/n + z²/4n²) / (1 + z²/n), with p = .8, n = 10
    z, p, n = 1.959964, 0.8, 10
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert wilson(8, 10) == pytest.approx((centre - half, centre + half), abs=1e-5)
    assert interval([1.0] * 8 + [0.0] * 2) == wilson(8, 10)
    for right, total in ((0, 50), (50, 50), (1, 3), (8, 10), (1234, 2000)):
        scipys = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
        assert wilson(right, total) == (scipys.low, scipys.high)


def test_mcnemars_exact_test_counts_the_coins_that_fall_as_unevenly_or_more():
    # 1 against 5 of 6 problems: P(at most 1) = (1 + 6) / 2⁶, and as much on the other side
    assert mcnemar(1, 5) == pytest.approx(2 * 7 / 64)
    assert mcnemar(5, 1) == pytest.approx(2 * 7 / 64)
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 10) == pytest.approx(2 / 1024)


def test_the_bootstrap_interval_of_a_mean_is_close_to_the_normal_one_and_the_same_each_time():
    draw = numpy.random.default_rng(1)
    values = list(draw.choice([0.0, 0.25, 0.5, 1.0], size=2000))
    half = 1.96 * numpy.std(values) / math.sqrt(2000)
    mean = numpy.mean(values)
    assert bootstrap(values) == pytest.approx((mean - half, mean + half), abs=0.1 * half)
    assert bootstrap(values) == interval(values)
    assert bootstrap([0.5] * 7) == (0.5, 0.5)


def test_the_interval_of_paired_differences_is_narrower_than_that_of_unpaired_ones():
    # Two models that differ on 20 of 1000 problems, though each is right on half of them.
    differences = [1.0] * 15 + [-1.0] * 5 + [0.0] * 980
    low, high = bootstrap(differences)
    assert 0 < low < 0.010 < high < 0.02
