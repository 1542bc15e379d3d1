"""Ten thousand open incidents: what the clock costs when nothing is due, and what they weigh."""

from __future__ import annotations

import tracemalloc
from time import process_time

from tests.unit.alerting.desk import Desk, incident, told
from tests.unit.alerting.traffic import now_at

INCIDENTS, RULES = 10_000, 100


def test_a_tick_with_nothing_due_costs_less_than_a_millisecond() -> None:
    """Ten thousand incidents of a hundred rules are two hundred messages, and then nothing to do for minutes."""
    desk = Desk()
    for number in range(INCIDENTS):
        desk.paging.alert(incident(f"i{number}", rule=f"rule {number % RULES}"), now_at(0))
    events = desk.tick(30)
    assert (len(events), len(told(events))) == (2 * INCIDENTS, 2 * RULES)
    begun = process_time()
    for second in range(31, 131):
        assert desk.paging.tick(now_at(second)) == []
    assert (process_time() - begun) / 100 < 0.001


def test_an_open_incident_weighs_less_than_five_kibibytes() -> None:
    """Beside its alert, which the engine has anyway; each is a group of its own here, which is the most."""
    count = 500
    alerts = [incident(f"i{number}", rule=f"rule {number}") for number in range(count)]
    tracemalloc.start()
    desk = Desk()
    for alert in alerts:
        desk.paging.alert(alert, now_at(0))
    desk.paging.tick(now_at(30))
    weight_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert weight_bytes / count < 5 * 1024
