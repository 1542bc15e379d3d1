from __future__ import annotations

import math

import pytest

from pipeline.aggregation.histogram import bucket_of, merge, millionths, quantile

ZERO = -32768


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        (1, -1),
        (2, 31),
        (1024, 319),
        (0.5, -33),
        (math.nextafter(1, 2), 0),
        (math.nextafter(1, 0), -1),
        (math.nextafter(2, 3), 32),
        (1.5, 18),  # 32 * log2(1.5) = 18.72
        (30_000, 475),  # 32 * log2(30000) = 475.93
        (2.0**1023, 32 * 1023 - 1),
        (1.7976931348623157e308, 32_767),
        (2.0**-1022, -32 * 1022 - 1),
    ],
)
def test_a_bucket_excludes_its_lower_bound_and_includes_its_upper(value: float, bucket: int) -> None:
    """Powers of two land exactly, and the next float above starts the next bucket."""
    assert bucket_of(value) == bucket


@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1e-300, -5])
def test_values_up_to_zero_share_a_bucket(value: float) -> None:
    """Zero and everything below are in bucket -32768."""
    assert bucket_of(value) == ZERO


@pytest.mark.parametrize("value", [5e-324, 2.0**-1074, 2.0**-1024])
def test_the_smallest_values_stay_inside_sixteen_bits(value: float) -> None:
    """Positive values too small for a signed 16-bit index go to the lowest positive bucket, not to that of zero."""
    assert bucket_of(value) == -32767


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, 100_000),
        (1234.567891, 1_234_567_891),
        (3_600_000, 3_600_000_000_000),
        (0.0000005, 0),  # the product is 0.5: half to even
        (0.0000015, 2),
        (0.0000025, 2),
        (-0.25, -250_000),
        (7, 7_000_000),
    ],
)
def test_millionths_are_rounded_once_and_half_to_even(value: float, expected: int) -> None:
    """A value in millionths is the nearest integer of its product with a million."""
    assert millionths(value) == expected


def test_merging_adds_counts_bucket_by_bucket() -> None:
    """The merged histogram holds the counts of both and changes neither."""
    a, b = {1: 2, 5: 1}, {5: 3, ZERO: 4}
    assert merge(a, b) == {1: 2, 5: 4, ZERO: 4}
    assert (a, b) == ({1: 2, 5: 1}, {5: 3, ZERO: 4})


def test_no_values_have_no_quantile() -> None:
    """A histogram without values answers None, never zero, also when it has buckets."""
    assert quantile({}, 0.5) is None
    assert quantile({3: 0}, 0) is None


def test_an_empty_bucket_is_no_answer() -> None:
    """The lowest value is that of the lowest bucket with something in it."""
    assert quantile({-33: 0, 319: 2}, 0) == pytest.approx(2 ** (319.5 / 32), rel=1e-12)


def test_a_quantile_is_the_middle_of_the_bucket_of_its_rank() -> None:
    """Of four values the median is the second, p = 0.51 the third, and the ends are the lowest and the highest."""
    buckets = {319: 1, -1: 2, ZERO: 1}  # a zero, two ones, one 1024
    shown_as_one, shown_as_1024 = 2 ** (-0.5 / 32), 2 ** (319.5 / 32)
    assert quantile(buckets, 0) == 0.0
    assert quantile(buckets, 0.25) == 0.0
    assert quantile(buckets, 0.26) == pytest.approx(shown_as_one, rel=1e-12)
    assert quantile(buckets, 0.5) == pytest.approx(shown_as_one, rel=1e-12)
    assert quantile(buckets, 0.75) == pytest.approx(shown_as_one, rel=1e-12)
    assert quantile(buckets, 0.76) == pytest.approx(shown_as_1024, rel=1e-12)
    assert quantile(buckets, 1) == pytest.approx(shown_as_1024, rel=1e-12)
