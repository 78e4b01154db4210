"""Intervals, against the formula by hand."""

import math

import pytest

from tasks.intervals import wilson


def test_wilsons_interval_is_the_published_formula():
    # centre = (p + z²/2n) / (1 + z²/n), half width = z·√(p(1−p)/n + z²/4n²) / (1 + z²/n), with p = .8, n = 10
    z, p, n = 1.959964, 0.8, 10
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert wilson(8, 10) == pytest.approx((centre - half, centre + half), abs=1e-5)


def test_wilsons_interval_of_all_right_stays_below_one_and_above_the_share_that_is_likely():
    low, high = wilson(10, 10)
    assert 0.69 < low < 0.73
    assert high == pytest.approx(1.0)
