from __future__ import annotations

import pytest

from alerting.engine.condition import AllOf, AnyOf, Comparison, Not, Selector
from alerting.engine.condition_text import ConditionError, parse_condition


def test_the_seeds_condition_is_read_literally() -> None:
    """`error_rate > 5% OR avg_time > 30s` is a ratio above 0.05 or a mean above 30,000 ms."""
    condition = parse_condition("error_rate > 5% OR avg_time > 30s")
    assert isinstance(condition.root, AnyOf)
    read = [(c.text, c.quantity.name, c.operator, c.threshold, c.quantity.unit, c.window_ms, c.labels) for c in condition.comparisons]
    assert read == [
        ("error_rate > 5%", "error_rate", ">", 0.05, "ratio", None, ()),
        ("avg_time > 30s", "avg_time", ">", 30_000.0, "ms", None, ()),
    ]


def test_and_binds_tighter_than_or_and_parentheses_bind_tightest() -> None:
    """`a OR b AND c` is `a OR (b AND c)`; written with parentheses it is what they say."""
    loose = parse_condition("error_rate > 1% or avg_time > 1s and error_rate > 2%").root
    assert isinstance(loose, AnyOf)
    assert [type(part) for part in loose.parts] == [Comparison, AllOf]
    tight = parse_condition("(error_rate > 1% or avg_time > 1s) AND error_rate > 2%").root
    assert isinstance(tight, AllOf)
    assert [type(part) for part in tight.parts] == [AnyOf, Comparison]


def test_labels_and_a_window_are_read() -> None:
    """A selection in braces and a window in brackets belong to their comparison."""
    comparison = parse_condition('error_rate{provider="a\\"b"}[5m] >= 12.5%').root
    assert isinstance(comparison, Comparison)
    assert (comparison.labels, comparison.window_ms, comparison.operator, comparison.threshold) == (
        (("provider", 'a"b'),),
        300_000,
        ">=",
        0.125,
    )


@pytest.mark.parametrize(
    ("text", "threshold_ms"),
    [("avg_time > 250ms", 250), ("avg_time > 1.5s", 1500), ("avg_time > 2m", 120_000), ("avg_time > 1h", 3_600_000)],
)
def test_times_are_read_in_their_unit(text: str, threshold_ms: float) -> None:
    """A threshold on a time is in milliseconds whatever unit it was written in."""
    assert parse_condition(text).comparisons[0].threshold == threshold_ms


@pytest.mark.parametrize(("operator", "below", "equal", "above"), [(">", 0, 0, 1), (">=", 0, 1, 1), ("<", 1, 0, 0), ("<=", 1, 1, 0)])
def test_the_operators_compare_as_written(operator: str, below: int, equal: int, above: int) -> None:
    """Each operator holds for the values it names, at the threshold itself included or not."""
    comparison = parse_condition(f"avg_time {operator} 100ms").comparisons[0]
    assert [comparison.holds(99.0), comparison.holds(100.0), comparison.holds(101.0)] == [bool(below), bool(equal), bool(above)]


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("eror_rate > 5%", 1, "did you mean error_rate?"),
        ("error_rate > 5% OR avgtime > 3s", 20, "did you mean avg_time?"),
        ("error_rate > 5", 14, "in %, as in 5%"),
        ("error_rate > 5s", 15, "in %, as in 5%"),
        ("avg_time > 30%", 14, "in ms, s, m or h"),
        ("avg_time > 30", 12, "in ms, s, m or h"),
        ("error_rate > 5% XOR avg_time > 30s", 17, "did you mean OR?"),
        ("error_rate > 5% OR", 19, "ends too early"),
        ("", 1, "ends too early"),
        ("error_rate > > 5%", 14, "> is not expected here"),
        ("error_rate > 5% $", 17, "$ is not expected here"),
        ('error_rate{provder="ollama"} > 5%', 12, "did you mean provider?"),
        ('error_rate{outcome="failed"} > 5%', 12, "no label outcome"),
        ('flush_age{provider="x"} > 5s', 11, "no label provider"),
        ("error_rate[15s] > 5%", 12, "multiple of 10s"),
        ("error_rate[2h] > 5%", 12, "at most 1h"),
        ("flush_age[1m] > 5s", 11, "has no window"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, column: int, says: str) -> None:
    """A mistake is named with its column, and with what may be meant."""
    with pytest.raises(ConditionError) as refused:
        parse_condition(text)
    assert refused.value.column == column
    assert says in str(refused.value)
    assert f"column {column}:" in str(refused.value)
