"""How sure an accuracy is, and a difference of two: intervals and tests over problems.

Where each problem is right or wrong an accuracy has Wilson's interval; where a problem has a score between 0 and 1
(the mean of several completions) it has a bootstrap interval. Two models on the same problems are compared pair by
pair, by the exact McNemar test and a paired bootstrap.
"""

from collections.abc import Sequence
from math import sqrt

Z = 1.959963984540054  # the standard normal distribution has 97.5 % below it
RESAMPLES = 9_999
RESAMPLES_AT_ONCE = 500  # bounds the memory


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share: 8 of 10 → (0.490, 0.943). As Newcombe (1998) writes it, and to the bit
    as scipy.stats has it, which takes half a second to import."""
    share, spread = right / total, Z * Z
    centre, divisor = 2 * total * share + spread, 2 * (total + spread)
    half = Z / divisor * sqrt(4 * total * share * (1 - share) + spread)
    low, high = centre / divisor - half, centre / divisor + half
    return (low if right else 0.0), (high if right < total else 1.0)


def interval(scores: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean of scores in 0..1: Wilson's where all are 0 or 1, else a bootstrap's."""
    if all(score in (0, 1) for score in scores):
        return wilson(int(sum(scores)), len(scores))
    return bootstrap(scores, seed)


def bootstrap(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean; for the differences of pairs it is the paired bootstrap."""
    import numpy
    from scipy.stats import bootstrap as resampled

    if len(set(values)) == 1:  # every resample is the same
        return float(values[0]), float(values[0])
    made = resampled(
        (numpy.asarray(values, dtype=float),),
        numpy.mean,
        n_resamples=RESAMPLES,
        batch=RESAMPLES_AT_ONCE,
        confidence_level=0.95,
        method="percentile",
        rng=numpy.random.default_rng(seed),
    )
    return float(made.confidence_interval.low), float(made.confidence_interval.high)


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p of the exact McNemar test, from the problems that only one of two models solves.

    Were the models equally good, each such problem would fall to either with probability ½: 1 against 5 has
    p = 2 · (1 + 6) / 2⁶ = 0.219.
    """
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
