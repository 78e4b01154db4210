"""How sure an accuracy is, and a difference of two: intervals and tests over problems.

Where each problem is right or wrong an accuracy has Wilson's interval; where a problem has a score between 0 and 1
(the mean of several completions) it has a bootstrap interval. Two models on the same problems are compared pair by
pair, by the exact McNemar test and a paired bootstrap. Over several seeds, seeds and problems are resampled together.
"""

from collections.abc import Sequence

RESAMPLES = 9_999
RESAMPLES_AT_ONCE = 500  # bounds the memory


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share: 8 of 10 → (0.490, 0.943)."""
    from scipy.stats import binomtest  # slow to import, as all of scipy.stats

    interval = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


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


def crossed_bootstrap(grid: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float, float, float]:
    """Mean, 95 % percentile interval and two-sided p of a mean of 0, for values of (seeds, problems).

    Each resample draws seeds and problems, both with replacement, and takes all their crossings (the two-way
    bootstrap of Owen, 2007, "The pigeonhole bootstrap"): a problem that is hard is hard under every seed. With p =
    2 · min(share of resamples ≤ 0, share ≥ 0), at most 1 and, of R resamples, at least 2 / (R + 1).
    """
    import numpy

    values = numpy.asarray(grid, dtype=float)
    seeds, problems = values.shape
    draw = numpy.random.default_rng(seed)
    means: list[float] = []
    while len(means) < RESAMPLES:
        count = min(RESAMPLES_AT_ONCE, RESAMPLES - len(means))
        drawn_seeds = draw.multinomial(seeds, [1 / seeds] * seeds, size=count)
        drawn_problems = draw.multinomial(problems, [1 / problems] * problems, size=count)
        means += (((drawn_seeds @ values) * drawn_problems).sum(1) / (seeds * problems)).tolist()
    resampled = numpy.asarray(means)
    low, high = numpy.percentile(resampled, [2.5, 97.5])
    tail = min((resampled <= 0).sum(), (resampled >= 0).sum())
    return float(values.mean()), float(low), float(high), float(min(1.0, 2 * (1 + tail) / (1 + len(resampled))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests: the smallest of m is multiplied by m, the next by m − 1, and none becomes
    smaller than one before it: 0.01, 0.04, 0.03 → 0.03, 0.06, 0.06."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, floor = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = floor
    return corrected


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p of the exact McNemar test, from the problems that only one of two models solves.

    Were the models equally good, each such problem would fall to either with probability ½: 1 against 5 has
    p = 2 · (1 + 6) / 2⁶ = 0.219.
    """
    from scipy.stats import binomtest

    differing = only_first + only_second
    return float(binomtest(only_first, differing, 0.5).pvalue) if differing else 1.0
