from __future__ import annotations

import random
from itertools import pairwise
from math import nextafter
from typing import Any

import numpy as np
import pytest

from tests.chaos.expected import Counted, Histogram, error_rates, first_exposures, latencies, panes, user_days, windows
from tests.chaos.expected_series import bucket_of, counted_at_ms, instant_ms, labels, millionths, series_of
from tests.unit.chaos.small_world import ANSWER, EXPOSURE_EVENT, FAILED, MENU_EVENT, REQUEST_EVENT, TEN, event


@pytest.mark.parametrize(("power", "value"), [(0, 1.0), (32, 2.0), (-32, 0.5), (320, 1024.0), (-320, 1 / 1024)])
def test_a_boundary_belongs_to_the_bucket_below(power: int, value: float) -> None:
    """The contract's (b^i, b^(i+1)]: b^i itself is the last value of bucket i - 1, the next float the first of bucket i."""
    assert bucket_of(value) == power - 1
    assert bucket_of(nextafter(value, 1e9)) == power


def test_zero_has_a_bucket_of_its_own() -> None:
    """Nothing has a logarithm there."""
    assert bucket_of(0) == bucket_of(0.0) == -32768


def test_a_value_lies_in_its_bucket_by_the_definition() -> None:
    """Checked with floats, which agree away from the boundaries; larger values never get lower buckets."""
    rng = random.Random(1)
    values = sorted(round(rng.lognormvariate(3, 3), 4) for _ in range(2_000))
    for value in filter(None, values):
        assert 2 ** (bucket_of(value) / 32) < value * (1 + 1e-12)
        assert value <= 2 ** ((bucket_of(value) + 1) / 32) * (1 + 1e-12)
    assert all(bucket_of(lower) <= bucket_of(higher) for lower, higher in pairwise(values))


def test_sums_are_exact_millionths() -> None:
    """0.1 + 0.2 is 0.3 there; what has more decimals is no test value."""
    assert millionths(0.1) + millionths(0.2) == millionths(0.3) == 300_000
    assert millionths(1240.5) == 1_240_500_000
    with pytest.raises(ValueError, match="six decimals"):
        millionths(1 / 3)


@pytest.mark.parametrize(("ahead_ms", "counted_ms"), [(0, 1_000), (600_000, 601_000), (600_001, 1_000)])
def test_only_more_than_ten_minutes_ahead_is_clamped(ahead_ms: int, counted_ms: int) -> None:
    """Exactly ten minutes are believed."""
    assert counted_at_ms(1_000 + ahead_ms, 1_000) == counted_ms


def test_instants_are_read_with_any_offset() -> None:
    """The same instant three ways."""
    assert instant_ms("2026-11-23T10:00:00Z") == instant_ms("2026-11-23T12:00:00.000+02:00") == TEN


@pytest.mark.parametrize(
    ("document", "metric", "own", "value"),
    [
        (MENU_EVENT, "menu_generation", labels(provider="ollama", outcome="failed"), 100.0),
        (
            MENU_EVENT | {"properties": {"generation_time_ms": 1, "outcome": "full"}},
            "menu_generation",
            labels(provider="", outcome="full"),
            1,
        ),
        (REQUEST_EVENT, "api_request", labels(service="menu-api", route="/menus", status_class="5xx"), 50),
        (EXPOSURE_EVENT, "feature_exposure", labels(flag="new-planner", variant="B"), None),
    ],
)
def test_labels_are_the_contracts(document: dict[str, Any], metric: str, own: tuple[tuple[str, str], ...], value: float | None) -> None:
    """An absent label is empty, a route has no query; every event counts in `events` as well."""
    every = ("events", labels(event_type=document["event_type"], service=document["source"]["service"]), None)
    assert series_of(document) == [every, (metric, own, value)]


def test_a_window_is_the_sum_of_its_panes() -> None:
    """Menus at 0, 59.999 and 60 s: two in the first minute, three in five minutes; the error rate drops the outcome."""
    menus = [
        menu("10:00:00.000Z", "full", 1.0),
        menu("10:00:59.999Z", "failed", 2.0),
        menu("10:01:00.000Z", "degraded", 4.0),
    ]
    of_windows = windows(panes(menus))
    key = ("menu_generation", labels(provider="ollama"))
    rates = error_rates(of_windows)
    assert (rates[(TEN, 60, *key)].errors, rates[(TEN, 60, *key)].total) == (1, 2)
    assert (rates[(TEN + 60_000, 60, *key)].errors, rates[(TEN + 60_000, 60, *key)].total) == (0, 1)
    assert (rates[(TEN, 300, *key)].errors, rates[(TEN, 300, *key)].total) == (1, 3)
    assert not [key for key in rates if key[2] == "events"]


def test_quantiles_are_those_of_numpy_within_a_bucket() -> None:
    """inverted_cdf over the values themselves; half a bucket is 1.1 %."""
    rng = random.Random(2)
    values = [round(rng.lognormvariate(5, 1), 3) for _ in range(997)]
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    shown = latencies({(TEN, 60, "menu_generation", ()): histogram})[TEN, 60, "menu_generation", ()]
    for percent, got in ((50, shown.p50_ms), (95, shown.p95_ms), (99, shown.p99_ms)):
        assert got == pytest.approx(np.quantile(values, percent / 100, method="inverted_cdf"), rel=0.0109)
    assert shown.mean_ms == pytest.approx(np.mean(values))


def test_the_first_exposure_is_the_earliest_and_of_two_the_smaller_id() -> None:
    """By event time, whatever came first; a session stands in for a user; nobody is no subject."""
    shown = [
        exposure("2", "10:00:02.000Z", "A", user_id="u"),
        exposure("3", "10:00:01.000Z", "B", user_id="u", session_id="s"),
        exposure("1", "10:00:01.000Z", "C", user_id="u"),
        exposure("4", "10:00:05.000Z", "D", session_id="s"),
        exposure("5", "10:00:00.000Z", "E"),
    ]
    assert first_exposures(shown) == {("u", "f"): ("C", TEN + 1_000), ("s", "f"): ("D", TEN + 5_000)}


def test_a_user_is_active_in_parts_of_days() -> None:
    """By event time; a part begins at 00:00, 22:00 or 23:00 UTC; who is nobody, or only loads pages, is not active."""
    view = {"recipe_id": "r"}
    done = [
        event("1", "recipe_view", "21:59:59.999Z", "web", view, user_id="u"),
        event("2", "recipe_view", "00:00:00.000Z", "web", view, user_id="u"),
        event("3", "menu_generated", "22:00:00.000Z", "web", view, user_id="u"),
        event("4", "nps_response", "23:59:59.999Z", "web", view, user_id="v"),
        event("5", "recipe_view", "10:00:00.000Z", "web", view, session_id="s"),
        event("6", "api_request", "10:00:00.000Z", "web", ANSWER, user_id="w"),
    ]
    midnight = TEN // 1_000 - 36_000
    active = {("u", midnight), ("u", midnight + 79_200), ("v", midnight + 82_800)}
    assert user_days([Counted(one, None) for one in done]) == dict.fromkeys(active, True)


def test_an_event_from_the_future_counts_when_it_was_received() -> None:
    """20 min ahead: the pane is that of the broker's stamp."""
    request = event("r", "api_request", "10:20:00.000Z", "web", ANSWER)
    (start_ms,) = {key[2] for key in panes([Counted(request, TEN + 15_000)])}
    assert start_ms == TEN + 10_000


def menu(at: str, outcome: str, duration_ms: float) -> Counted:
    properties = FAILED | {"outcome": outcome, "generation_time_ms": duration_ms}
    return Counted(event("m", "menu_generated", at, "menu-api", properties), TEN + 61_000)


def exposure(event_id: str, at: str, variant: str, **who: str) -> Counted:
    return Counted(event(event_id, "feature_exposure", at, "web", {"flag": "f", "variant": variant}, **who), TEN)
