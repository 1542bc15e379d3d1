"""The histogram of a pane: how a value finds its bucket, and what a merged histogram says about quantiles.

Bucket i holds the values in (b^i, b^(i+1)] with b = 2^(1/32): the OpenTelemetry exponential histogram at scale 5.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import ceil, frexp, isqrt
from typing import Final

from schemas.pane import MILLIONTHS, ZERO_BUCKET

_BUCKETS_PER_DOUBLING: Final = 32


def _boundary(k: int) -> float:
    """The largest float64 that is not above 2^(k/32) / 2, found in integers: five square roots are a 32nd root."""
    root = 1 << (k + 52 * _BUCKETS_PER_DOUBLING)
    for _ in range(5):
        root = isqrt(root)
    return root / (1 << 53)


# Boundaries of the buckets in [0.5, 1), where frexp puts a mantissa. All but the first are irrational, so no value is equal to
# one, and the floats that compare above the rounded boundary are exactly those above the true one.
_BOUNDARIES: Final = tuple(_boundary(k) for k in range(_BUCKETS_PER_DOUBLING))


def bucket_of(value: float) -> int:
    """The bucket of a finite value: -32768 up to 0, else -32767 to 32767, exact; the lowest also takes the few values below it."""
    if value <= 0:
        return ZERO_BUCKET
    mantissa, exponent = frexp(value)
    bucket = (exponent - 1) * _BUCKETS_PER_DOUBLING + bisect_left(_BOUNDARIES, mantissa) - 1
    return bucket if bucket > ZERO_BUCKET else ZERO_BUCKET + 1


def millionths(value: float) -> int:
    """A finite value in millionths: the float64 product with 1,000,000, rounded to the nearest integer, halves to even.

    Exact for a value written with at most six decimals, up to 2 * 10^9.
    """
    return round(value * MILLIONTHS)


def merge(a: Mapping[int, int], b: Mapping[int, int]) -> dict[int, int]:
    """The histogram of the values of both; merging is associative and commutative."""
    merged = dict(a)
    for bucket, count in b.items():
        merged[bucket] = merged.get(bucket, 0) + count
    return merged


def quantile(buckets: Mapping[int, int], p: float) -> float | None:
    """The value of rank ceil(p * n), at most 1.1 % off; None when there are no values.

    Args:
        buckets: bucket to count of values.
        p: 0..1; 0 is the lowest value, 1 the highest.

    Returns:
        The geometric middle of the bucket that holds that value; 0.0 for values <= 0.
    """
    remaining = max(1, ceil(p * sum(buckets.values())))
    for bucket in sorted(buckets):
        remaining -= buckets[bucket]
        if remaining <= 0:
            return 0.0 if bucket == ZERO_BUCKET else 2.0 ** ((bucket + 0.5) / _BUCKETS_PER_DOUBLING)
    return None
