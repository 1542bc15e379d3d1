from __future__ import annotations

from collections.abc import Mapping

import pytest

from alerting.engine.condition import AllOf, AnyOf, Comparison, Not, Selector
from alerting.engine.condition_text import ConditionError, parse_condition
from alerting.engine.measure import Measure, MeasureKey


def only(text: str) -> Comparison:
    """The one comparison of a condition that is nothing else."""
    root = parse_condition(text).root
    assert isinstance(root, Comparison)
    return root


def counts(comparison: Comparison, labels: Mapping[str, str]) -> bool:
    """Whether panes with these labels are counted for the comparison."""
    return Measure(MeasureKey.of(comparison, ()), 1, 1).feed_of(labels) is not None


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (
            "error_rate > 5% OR avg_time > 30s",
            [("error_rate > 5%", "error_rate", ">", 0.05, "ratio"), ("avg_time > 30s", "avg_time", ">", 30_000.0, "ms")],
        ),
        (
            "satisfaction_score < 4.0 OR retention_7d < 40%",
            [
                ("satisfaction_score < 4.0", "satisfaction_score", "<", 4.0, "rating"),
                ("retention_7d < 40%", "retention_7d", "<", 0.4, "ratio"),
            ],
        ),
        (
            "cpu > 80% OR memory > 85% OR disk > 90%",
            [
                ("cpu > 80%", "cpu", ">", 0.8, "ratio"),
                ("memory > 85%", "memory", ">", 0.85, "ratio"),
                ("disk > 90%", "disk", ">", 0.9, "ratio"),
            ],
        ),
    ],
)
def test_the_seeds_conditions_are_read_literally(text: str, read: list[tuple[str, str, str, float, str]]) -> None:
    """Each of the seed's three conditions is an OR of its comparisons, with thresholds in the unit of what is compared."""
    condition = parse_condition(text)
    assert isinstance(condition.root, AnyOf)
    assert condition.text == text
    assert [(c.text, c.quantity.name, c.operator, c.threshold, c.quantity.unit) for c in condition.comparisons] == read
    assert {(c.window_ms, c.selectors, c.against) for c in condition.comparisons} == {(None, (), "threshold")}


def test_and_binds_tighter_than_or_and_not_and_parentheses_bind_tightest() -> None:
    """`a OR b AND c` is `a OR (b AND c)`, `NOT a AND b` is `(NOT a) AND b`; written with parentheses it is what they say."""
    loose = parse_condition("error_rate > 1% or avg_time > 1s and error_rate > 2%").root
    assert isinstance(loose, AnyOf)
    assert [type(part) for part in loose.parts] == [Comparison, AllOf]
    tight = parse_condition("(error_rate > 1% or avg_time > 1s) AND error_rate > 2%").root
    assert isinstance(tight, AllOf)
    assert [type(part) for part in tight.parts] == [AnyOf, Comparison]
    negated = parse_condition("NOT error_rate > 1% AND avg_time > 1s").root
    assert isinstance(negated, AllOf)
    assert [type(part) for part in negated.parts] == [Not, Comparison]


def test_not_is_of_the_part_it_stands_before_and_its_comparisons_count() -> None:
    """`NOT (a OR b)` negates both, twice negated is written twice, and the leaves are found from left to right."""
    condition = parse_condition("not (error_rate > 1% OR menus < 5) AND NOT NOT avg_time > 1s")
    assert isinstance(condition.root, AllOf)
    first, second = condition.root.parts
    assert isinstance(first, Not)
    assert isinstance(first.part, AnyOf)
    assert isinstance(second, Not)
    assert isinstance(second.part, Not)
    assert [c.text for c in condition.comparisons] == ["error_rate > 1%", "menus < 5", "avg_time > 1s"]


def test_a_selection_and_a_window_belong_to_their_comparison() -> None:
    """Selections in braces are sorted, may be negated and may hold quotes; a window in brackets is in milliseconds."""
    comparison = only('api_error_rate{service!="batch",route="a\\"b"}[5m] >= 12.5%')
    assert comparison.selectors == (Selector("route", 'a"b'), Selector("service", "batch", negated=True))
    assert (comparison.window_ms, comparison.operator, comparison.threshold) == (300_000, ">=", 0.125)
    assert counts(comparison, {"service": "web", "route": 'a"b'})
    assert not counts(comparison, {"service": "batch", "route": 'a"b'})
    assert not counts(comparison, {"service": "web", "route": "/"})


def test_a_label_that_is_absent_is_empty() -> None:
    """A series without the label is selected by '' and by every negation of a value."""
    assert counts(only('error_rate{provider=""} > 5%'), {})
    assert counts(only('error_rate{provider!="ollama"} > 5%'), {})


@pytest.mark.parametrize(
    ("text", "threshold_ms"),
    [("avg_time > 250ms", 250), ("avg_time > 1.5s", 1500), ("p95_time > 2m", 120_000), ("avg_time > 1h", 3_600_000)],
)
def test_times_are_read_in_their_unit(text: str, threshold_ms: float) -> None:
    """A threshold on a time is in milliseconds whatever unit it was written in."""
    assert only(text).threshold == threshold_ms


@pytest.mark.parametrize(("window", "window_ms"), [("10s", 10_000), ("1h", 3_600_000), ("24h", 86_400_000), ("31d", 2_678_400_000)])
def test_windows_last_from_ten_seconds_to_a_month(window: str, window_ms: int) -> None:
    """What panes do not hold is read from the warehouse."""
    assert only(f"error_rate[{window}] > 5%").window_ms == window_ms


@pytest.mark.parametrize(("operator", "below", "equal", "above"), [(">", 0, 0, 1), (">=", 0, 1, 1), ("<", 1, 0, 0), ("<=", 1, 1, 0)])
def test_the_operators_compare_as_written(operator: str, below: int, equal: int, above: int) -> None:
    """Each operator holds for the values it names, at the threshold itself included or not."""
    comparison = only(f"avg_time {operator} 100ms")
    assert [comparison.holds(99.0), comparison.holds(100.0), comparison.holds(101.0)] == [bool(below), bool(equal), bool(above)]


@pytest.mark.parametrize(
    ("text", "usual", "limit", "downwards"),
    [
        ("feature_usage[1h] drop > 30%", 100, 70, True),
        ("feature_usage[1h] rise > 30%", 100, 130, False),
        ("p95_time[15m] degradation > 50%", 2_000, 3_000, False),
        ("full_success_rate[15m] degradation > 25%", 0.8, 0.6, True),
        ("p95_time[15m] drop > 50%", 2_000, 1_000, True),
    ],
)
def test_deviations_are_parts_of_usual_times(text: str, usual: float, limit: float, downwards: bool) -> None:
    """A drop is below, a rise above; a degradation is a rise of what is worse when higher, and a drop of the rest."""
    comparison = only(text)
    assert (comparison.needs_baseline, comparison.downwards) == (True, downwards)
    assert comparison.limit(usual) == pytest.approx(limit)
    assert [comparison.holds(limit * share, usual) for share in (0.99, 1.01)] == [downwards, not downwards]
    assert not comparison.holds(comparison.limit(usual), usual)
    assert only(text.replace(">", ">=")).holds(comparison.limit(usual), usual)


def test_absence_is_true_of_no_events() -> None:
    """`absent(…)` has a selection and a window as others, and holds of the number 0 alone."""
    comparison = only('ABSENT( event_count{service="web"} [10m] )')
    assert (comparison.against, comparison.window_ms, comparison.selectors) == ("absence", 600_000, (Selector("service", "web"),))
    assert not comparison.needs_baseline
    assert [comparison.holds(0), comparison.holds(1)] == [True, False]


def test_a_condition_on_several_lines_is_one_text() -> None:
    """White space is nothing but space, also inside of a comparison."""
    condition = parse_condition("error_rate\n  > 5%\nOR avg_time > 30s")
    assert [c.text for c in condition.comparisons] == ["error_rate > 5%", "avg_time > 30s"]


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("eror_rate > 5%", 1, "did you mean error_rate?"),
        ("error_rate > 5% OR avgtime > 3s", 20, "did you mean avg_time?"),
        ("error_rate > 5% OR\nzzz > 3s", 20, "zzz is not a quantity; there are error_rate, avg_time"),
        ("error_rate > 5", 14, "in %, as in 5%"),
        ("error_rate > 5s", 15, "in %, as in 5%"),
        ("error_rate > 500%", 14, "at most 100%"),
        ("avg_time > 30%", 14, "in ms, s, m, h or d"),
        ("avg_time > 30", 12, "in ms, s, m, h or d"),
        ("satisfaction_score < 80%", 24, "without a unit, as in 4.0"),
        ("security_signals > 5s", 21, "without a unit, as in 10"),
        ("error_rate > 5% XOR avg_time > 30s", 17, "did you mean OR?"),
        ("error_rate > 5% OR", 19, "ends too early"),
        ("", 1, "ends too early"),
        ("error_rate > > 5%", 14, "> is not expected here"),
        ("error_rate > 5% $", 17, "$ is not expected here"),
        ("feature_usage[1h] dropp > 30%", 19, "dropp is not expected here; did you mean drop?"),
        ('error_rate{provder="ollama"} > 5%', 12, "did you mean provider?"),
        ('error_rate{outcome="failed"} > 5%', 12, "no label outcome"),
        ('error_rate{provider="a",provider="b"} > 5%', 25, "two values at once"),
        ('flush_age{provider="x"} > 5s', 11, "no label provider"),
        ("error_rate[15s] > 5%", 12, "multiple of 10s"),
        ("error_rate[60] > 5%", 12, "multiple of 10s, at most 31d, not 60"),
        ("error_rate[32d] > 5%", 12, "at most 31d"),
        ("data_loss[2d] > 5%", 11, "at most 1d"),
        ("flush_age[1m] > 5s", 11, "has no window"),
        ("retention_7d[7d] < 40%", 14, "has no window"),
        ("feature_usage[1h] drop < 30%", 24, "as in drop > 30%"),
        ("feature_usage[1h] drop > 30", 26, "in %, as in 30%"),
        ("satisfaction_score drop > 30%", 1, "has no usual times"),
        ("absent(retention_7d)", 8, "cannot be absent"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, column: int, says: str) -> None:
    """A mistake is named with its column, counted over the whole text, and with what may be meant."""
    with pytest.raises(ConditionError) as refused:
        parse_condition(text)
    assert says in str(refused.value)
    assert refused.value.column == column
    assert f"column {column}:" in str(refused.value)
