"""How sure it is that a number is beyond a limit by more than chance: one-sided bounds of a ratio and of a count."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt
from statistics import NormalDist


def wilson_bounds(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of the true ratio behind `successes` of `n` > 0 (Wilson's score interval).

    Each bound alone is right with `confidence`, above 0.5; both together with less.
    """
    z = _z(confidence)
    ratio, shrink = successes / n, 1 + z * z / n
    centre = ratio + z * z / (2 * n)
    reach = z * sqrt(ratio * (1 - ratio) / n + z * z / (4 * n * n))
    return (centre - reach) / shrink, (centre + reach) / shrink


def poisson_bounds(count: int, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of the mean of which `count` events came (score interval); each alone is right with `confidence`."""
    z = _z(confidence)
    centre, reach = count + z * z / 2, z * sqrt(count + z * z / 4)
    return centre - reach, centre + reach


def failures(numerator: int, denominator: int, upwards: bool) -> int:
    """The events that a threshold is about: the numerator of `>`, all others of `<`."""
    return numerator if upwards else denominator - numerator


def ratio_bound(numerator: int, denominator: int, confidence: float, upwards: bool) -> float:
    """The bound of the ratio that is nearer to a limit: the lower one when that is to be passed upwards, else the upper one."""
    return wilson_bounds(numerator, denominator, confidence)[0 if upwards else 1]


def count_bound(count: int, confidence: float, upwards: bool) -> float:
    """The same of a count."""
    return poisson_bounds(count, confidence)[0 if upwards else 1]


def beyond(value: float, limit: float, upwards: bool) -> bool:
    """Whether the limit is passed."""
    return value > limit if upwards else value < limit


@lru_cache(maxsize=100)
def _z(confidence: float) -> float:
    return NormalDist().inv_cdf(confidence)
