from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.aggregation.histogram import bucket_of, merge, millionths, quantile

ZERO = -32768
SMALLEST = 2.0**-1023  # below, indices no longer fit sixteen bits

histograms = st.dictionaries(st.integers(-32768, 32767), st.integers(1, 10**12), max_size=20)
measured = st.floats(-1, 3.6e6).filter(lambda value: value <= 0 or value >= SMALLEST)


@st.composite
def floats_at_a_boundary(draw: st.DrawFn) -> float:
    """A float within two steps of a bucket's bound, where rounding goes wrong first."""
    with localcontext() as context:
        context.prec = 60
        value = float(Decimal(2) ** (Decimal(draw(st.integers(-32 * 1022, 32 * 1023))) / 32))
    for _ in range(draw(st.integers(0, 2))):
        value = math.nextafter(value, draw(st.sampled_from([0.0, math.inf])))
    return value


@settings(deadline=None)
@given(st.one_of(floats_at_a_boundary(), st.floats(SMALLEST, allow_infinity=False)))
@example(1.0)
@example(math.nextafter(1.0, 0.0))
@example(SMALLEST)
def test_a_bucket_is_what_its_definition_says(value: float) -> None:
    """Every positive float lies in (2^(i/32), 2^((i+1)/32)] of its bucket i, in exact rational arithmetic."""
    bucket = bucket_of(value)
    power = Fraction(value) ** 32
    assert Fraction(2) ** bucket < power <= Fraction(2) ** (bucket + 1)


@settings(deadline=None)
@given(st.lists(measured, min_size=1, max_size=200), st.floats(0, 1))
@example([float(value) for value in range(1, 101)], 0.07)  # 0.07 * 100 is above 7 in floats, for numpy too
def test_a_quantile_is_within_1_1_percent_of_the_raw_one(values: list[float], p: float) -> None:
    """What the histogram says differs by at most 1.1 % from numpy's inverted_cdf on the raw values; zero and below read 0."""
    exact = float(np.quantile(np.array(values), p, method="inverted_cdf"))
    shown = quantile(Counter(map(bucket_of, values)), p)
    assert shown is not None
    assert abs(shown - max(exact, 0.0)) <= 0.011 * max(exact, 0.0)


@settings(deadline=None)
@given(histograms, histograms, histograms)
def test_merging_is_associative_and_commutative(a: dict[int, int], b: dict[int, int], c: dict[int, int]) -> None:
    """Panes may be added in any order and grouping."""
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, b) == merge(b, a)


@settings(deadline=None)
@given(histograms, histograms)
def test_merging_keeps_every_count(a: dict[int, int], b: dict[int, int]) -> None:
    """No value is lost or invented, and nothing merged with a histogram is that histogram."""
    assert sum(merge(a, b).values()) == sum(a.values()) + sum(b.values())
    assert merge(a, {}) == merge({}, a) == a


@settings(deadline=None)
@given(st.lists(measured, max_size=60), st.integers(0, 60))
def test_merged_parts_are_the_histogram_of_the_whole(values: list[float], cut: int) -> None:
    """Where the stream of values was cut leaves no trace in the merged histogram."""
    parts = merge(Counter(map(bucket_of, values[:cut])), Counter(map(bucket_of, values[cut:])))
    assert parts == dict(Counter(map(bucket_of, values)))


@settings(deadline=None)
@given(st.integers(-2 * 10**15, 2 * 10**15), st.integers(0, 6))
def test_millionths_of_a_short_decimal_are_exact(digits: int, decimals: int) -> None:
    """A number written with at most six decimals, up to two thousand million, loses nothing on its way through a float."""
    written = Decimal(digits).scaleb(-decimals) if decimals == 6 else Decimal(digits // 10**6).scaleb(-decimals)
    assert millionths(float(written)) == int(written * 10**6)


@settings(deadline=None)
@given(st.floats(-1e9, 1e9))
def test_millionths_are_off_by_half_a_millionth_at_most(value: float) -> None:
    """Any value is rounded once: to within half a millionth, and the float64 product's own rounding."""
    product = Fraction(value) * 10**6
    assert abs(millionths(value) - product) <= Fraction(1, 2) + abs(product) / 2**53
