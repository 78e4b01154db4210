"""How sure an accuracy is: 95 % intervals."""


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share: 8 of 10 → (0.490, 0.943)."""
    from scipy.stats import binomtest  # slow to import, and needed only here

    interval = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)
