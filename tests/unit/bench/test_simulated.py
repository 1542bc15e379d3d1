from __future__ import annotations

import numpy as np

from tests.bench.simulated import fewest_errors, first_after, incidents, over_windows, plain_looks, traffic, true_looks


def _counts(*pairs: tuple[int, int], seconds: int = 120) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    counts = np.zeros(seconds, dtype=np.int64)
    for second, count in pairs:
        counts[second] = count
    return counts


def test_a_look_sees_the_window_that_ends_with_the_open_pane_up_to_its_second() -> None:
    """At second 65 the open pane ends at 70, so a minute begins at 10; what comes later in the pane is not seen yet."""
    counts = _counts((9, 1), (10, 10), (65, 100), (66, 1_000))
    assert over_windows(counts, 60)[[65, 66, 69, 70]].tolist() == [110, 1_110, 1_110, 1_100]


def test_the_fewest_errors_are_found_for_every_number_of_events() -> None:
    """By trying all of them, with a rule that wants twenty events and a fifth of them failed."""

    def holds(errors: int, events: int) -> bool:
        return events >= 20 and errors * 5 > events

    tried = [next((errors for errors in range(events + 1) if holds(errors, events)), events + 1) for events in range(300)]
    assert fewest_errors(holds, 299).tolist() == tried


def test_a_rule_is_true_at_the_looks_that_see_enough() -> None:
    """Twenty events of which five failed, for as long as they are in the window: the pane at 80 s still ends one that begins at 30 s."""
    events, errors = _counts((30, 20)), _counts((30, 5))
    looks = true_looks(events, errors, 60, fewest_errors(lambda bad, all_: all_ >= 20 and bad >= 5, 20))
    assert np.flatnonzero(looks).tolist() == list(range(30, 90))
    assert first_after(looks, 25) == 6
    assert first_after(looks, 90) == float("inf")


def test_a_plain_threshold_must_be_passed_at_every_look_of_a_minute() -> None:
    """Failing from second 100 on: above at 105 s, five looks in a row at 165 s."""
    events = np.ones(300, dtype=np.int64)
    errors = events * (np.arange(300) >= 100)
    assert first_after(plain_looks(events, errors, 60, 0.05, 60), 100) == 65


def test_a_rule_that_comes_back_before_its_incident_has_ended_has_opened_once() -> None:
    """Gaps of 30 s belong to the incident, longer ones end it."""
    looks = np.zeros(200, dtype=np.bool_)
    looks[[10, 40, 71]] = True
    assert incidents(looks, 30) == 2
    assert incidents(np.zeros(5, dtype=np.bool_), 30) == 0


def test_traffic_has_the_rates_it_is_told() -> None:
    """A million seconds at ten events a minute, 4 % of them failed: within four standard deviations."""
    events, errors = traffic(np.random.default_rng(1), 10, np.full(1_000_000, 0.04))
    assert abs(events.sum() - 1e6 / 6) < 4 * (1e6 / 6) ** 0.5
    assert abs(errors.sum() - 0.04e6 / 6) < 4 * (0.04e6 / 6) ** 0.5
    assert (errors <= events).all()
