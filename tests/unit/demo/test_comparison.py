from __future__ import annotations

import pytest

from pipeline.demo.board import Series, Totals
from pipeline.demo.comparison import (
    AlertBySql,
    Fraction,
    Number,
    SqlTotals,
    alert_numbers,
    differing,
    error_numbers,
    fraction_numbers,
    pane_numbers,
    readable,
    series_numbers,
)
from schemas.alert import parse_alert
from tests.unit.demo.examples import FIRING

DEGRADED = Series.of("menu_generation", {"provider": "templates", "outcome": "degraded"})
FAILED = Series.of("menu_generation", {"provider": "", "outcome": "failed"})
VIEWS = Series.of("recipe_interaction", {"action": "view"})

SEEN = {DEGRADED: Totals(3, 3_000_000, {-1: 3}), FAILED: Totals(1, 1_000_000, {-1: 1}), VIEWS: Totals(7)}
BY_SQL = {
    DEGRADED: SqlTotals(3, 3_000_000, 3, {50: 1.0, 95: 1.0, 99: 1.0}),
    FAILED: SqlTotals(1, 1_000_000, 1, {50: 1.0, 95: 1.0, 99: 1.0}),
    VIEWS: SqlTotals(7, 0, 0, {}),
}


def wrong(numbers: list[Number]) -> list[str]:
    return [number.name for number in differing(numbers)]


def test_equal_numbers_agree() -> None:
    """Events, mean and three quantiles of each series with values; events alone of one that is only counted."""
    numbers = series_numbers(SEEN, BY_SQL, {DEGRADED: 3, FAILED: 1, VIEWS: 7})
    assert not wrong(numbers)
    assert len(numbers) == 5 + 5 + 1


@pytest.mark.parametrize("difference", [1, -1])
def test_one_event_more_or_less_differs(difference: int) -> None:
    """Counts have no tolerance."""
    seen = {**SEEN, VIEWS: Totals(1_000_000 + difference)}
    by_sql = {**BY_SQL, VIEWS: SqlTotals(1_000_000, 0, 0, {})}
    assert wrong(series_numbers(seen, by_sql, {})) == ["recipe_interaction action=view events"]


def test_one_millionth_in_a_sum_differs() -> None:
    """The mean of a few values shows a sum that is off by the least there is."""
    seen = {**SEEN, DEGRADED: Totals(3, 3_000_001, {-1: 3})}
    assert wrong(series_numbers(seen, BY_SQL, {})) == ["menu_generation provider=templates outcome=degraded mean"]


def test_a_quantile_may_be_as_far_off_as_half_a_bucket() -> None:
    """1.1 % is the contract's bound; more differs."""
    exact = SqlTotals(3, 3_000_000, 3, {50: 2 ** (-0.5 / 32) * 1.0109, 95: 2 ** (-0.5 / 32) * 1.0125, 99: 1.0})
    assert wrong(series_numbers({DEGRADED: SEEN[DEGRADED]}, {DEGRADED: exact}, {})) == [f"{DEGRADED} p95"]


def test_what_one_side_does_not_have_differs() -> None:
    """A series that is missing on the topic, or in ClickHouse, or was sent and is nowhere."""
    assert f"{VIEWS} events" in wrong(series_numbers({}, {VIEWS: BY_SQL[VIEWS]}, {}))
    assert f"{VIEWS} events" in wrong(series_numbers({VIEWS: SEEN[VIEWS]}, {}, {}))
    assert f"{VIEWS} events" in wrong(series_numbers({}, {}, {VIEWS: 1}))


def test_a_loss_on_both_sides_differs_from_what_was_sent() -> None:
    """The sender knows what was accepted: two wrong numbers that are equal are still wrong."""
    assert wrong(series_numbers({VIEWS: SEEN[VIEWS]}, {VIEWS: BY_SQL[VIEWS]}, {VIEWS: 8})) == [f"{VIEWS} events"]


def test_error_rate_is_over_all_labels() -> None:
    """1 of 4; metrics without an error have none."""
    numbers = error_numbers(SEEN, BY_SQL)
    assert [(number.seen, number.by_sql) for number in numbers] == [(1, 1), (4, 4), (0.25, 0.25)]


def test_panes_are_compared_one_by_one() -> None:
    """Two panes whose differences cancel out are both named."""
    seen = {(VIEWS, 0): Totals(4), (VIEWS, 10_000): Totals(3), (VIEWS, 20_000): Totals(2)}
    by_sql = {(VIEWS, 0): (3, 0), (VIEWS, 10_000): (4, 0), (VIEWS, 20_000): (2, 0)}
    numbers = pane_numbers(seen, by_sql)
    assert [(number.seen, number.by_sql) for number in numbers] == [(1, 3), (4, 3), (3, 4)]
    assert wrong(numbers)[1:] == [f"{VIEWS} in the pane of 00:00:00, events", f"{VIEWS} in the pane of 00:00:10, events"]


def test_a_pane_with_another_sum_or_on_one_side_only_is_wrong() -> None:
    """Each is named with what is different about it."""
    seen = {(DEGRADED, 0): Totals(3, 3_000_001, {-1: 3}), (FAILED, 0): Totals(1, 1_000_000, {-1: 1})}
    by_sql = {(DEGRADED, 0): (3, 3_000_000), (VIEWS, 0): (1, 0)}
    named = wrong(pane_numbers(seen, by_sql))[1:]
    assert named == [
        f"{FAILED} in the pane of 00:00:00, events",
        f"{DEGRADED} in the pane of 00:00:00, sum",
        f"{VIEWS} in the pane of 00:00:00, events",
    ]


def test_an_alert_is_held_to_its_own_sql_and_its_window_to_the_events() -> None:
    """Three comparisons of three numbers; each of the three sources can be the one that is wrong."""
    alert = parse_alert(FIRING)
    said, window = Fraction(3250, 52000, 0.0625), Fraction.of(4000, 64000)
    assert not wrong(alert_numbers(alert, AlertBySql(said, window, window), window))
    other = Fraction.of(4001, 64000)
    assert wrong(alert_numbers(alert, AlertBySql(other, window, window), window))[0].startswith("alert firing, as judged")
    assert len(wrong(alert_numbers(alert, AlertBySql(said, window, other), window))) == 2
    assert len(wrong(alert_numbers(alert, AlertBySql(said, window, window), other))) == 4


def test_a_window_without_events_has_no_value() -> None:
    """Nothing over nothing on both sides cannot be compared, so it does not agree."""
    assert Fraction.of(0, 0).value is None
    assert wrong(fraction_numbers("w", Fraction.of(0, 0), Fraction.of(0, 0), "ratio")) == ["w: value"]


@pytest.mark.parametrize(
    ("value", "unit", "text"), [(None, "", "-"), (0.0625, "ratio", "6.2500 %"), (1234.5, "ms", "1,234.5000 ms"), (2260, "", "2,260")]
)
def test_values_are_written_for_people(value: float | None, unit: str, text: str) -> None:
    """With their unit and all the digits that matter."""
    assert readable(value, unit) == text  # type: ignore[arg-type]
