from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from tests.chaos.expected import ErrorRate, Latency
from tests.chaos.oracle import judge_world
from tests.chaos.oracle_world import DeadLetterRow, World
from tests.chaos.sent import Sent
from tests.unit.chaos.small_world import (
    EVENT_ROWS,
    EXPOSURE,
    ITEMS,
    KEY,
    LOG,
    MENU,
    PANE_ROWS,
    REQUEST,
    TEN,
    VIEW,
    alert,
    copied,
    dead,
    flush,
    histogram,
    record,
    sent,
    windows,
    world,
)

Plant = Callable[[Sent, World], World]
SENDINGS = (("gateway", 3), ("kafka", 5))


def test_a_world_that_is_right_has_no_difference() -> None:
    """Repeats, a moved record, a conflict, poison, a clamped event and an old snapshot that comes last are all as they should be."""
    report = judge_world(sent(), world(), {})
    assert report.differences == ()
    assert report.ok
    assert report.counters["repeats"] == report.counters["moved"] == report.counters["conflicts"] == 1
    assert "every law held" in str(report)


def _without_event(event_id: str) -> Plant:
    """Gone from `events`, `events_raw` and nothing else."""

    def plant(_: Sent, right: World) -> World:
        rows = [row for row in right.events if row.event_id != event_id]
        return replace(right, events=rows, stored=[one for one in right.stored if one[2] != event_id])

    return plant


def _changed(**fields: object) -> Plant:
    return lambda _, right: replace(right, **fields)  # type: ignore[arg-type]


def _gateway_rejects_a_valid_event(ledger: Sent, right: World) -> World:
    ledger.copies.append(copied("menu", "gateway", outcome="rejected"))
    return right


def _gateway_accepts_poison(ledger: Sent, right: World) -> World:
    ledger.copies.append(copied("refused", "gateway"))
    return right


def _gateway_says_nonsense(ledger: Sent, right: World) -> World:
    ledger.problems.append("the gateway accepted two of one")
    return right


def _acknowledged_elsewhere(ledger: Sent, right: World) -> World:
    ledger.copies.append(copied("menu", "kafka", (9, 0)))
    return right


def _unknown_and_absent_elsewhere(ledger: Sent, right: World) -> World:
    del ledger.items[VIEW]
    ledger.copies = [copy for copy in ledger.copies if copy.item != VIEW]
    return right


MENU_PANE = PANE_ROWS[0]
OTHER_PANES = PANE_ROWS[1:]
RATES = windows(ErrorRate(2, 1), "menu_generation", provider="ollama") + windows(
    ErrorRate(1, 1), "api_request", service="menu-api", route="/menus"
)

PLANTED: dict[str, tuple[Plant, str]] = {
    "a lost row": (_without_event(MENU), f"L1 event {MENU}, acknowledged by Kafka at 1/0, is neither in events nor in dead_letters"),
    "a lost record": (_changed(log=[r for r in LOG if r.place != (3, 1)]), "L1 log record 3/1 was acknowledged for"),
    "a record lost by its gateway": (_changed(log=[r for r in LOG if r.place != (1, 1)]), f"L1 conflict {MENU}!, acknowledged"),
    "a valid event refused": (_gateway_rejects_a_valid_event, f"L1 the gateway rejected valid {MENU}"),
    "poison accepted": (_gateway_accepts_poison, "L1 the gateway accepted poison chaos-poison-2"),
    "an impossible answer": (_gateway_says_nonsense, "L1 the gateway accepted two of one"),
    "an acknowledgement for another record": (_acknowledged_elsewhere, f"L1 log record 9/0 was acknowledged for {MENU}"),
    "a double row": (_changed(events=[*EVENT_ROWS, EVENT_ROWS[0]]), f"L2 event {MENU} is 2 times in events: 1/0, 1/0"),
    "a row nobody sent": (_unknown_and_absent_elsewhere, f"L3 event {VIEW} in events (0/0) was never sent"),
    "a record nobody sent": (_unknown_and_absent_elsewhere, f"L3 log record 0/0: id {VIEW} that nobody sent"),
    "an altered row": (_changed(events=[replace(EVENT_ROWS[0], user_id="u-43"), *EVENT_ROWS[1:]]), "user_id: want u-42, got u-43"),
    "a time not clamped": (
        _changed(events=[*EVENT_ROWS[:3], replace(EVENT_ROWS[3], occurred_ms=TEN + 1_200_000)]),
        f"L3 event {REQUEST} (3/1): occurred_at: want {TEN + 5_000}, got {TEN + 1_200_000}",
    ),
    "a pane counted twice": (
        _changed(pane_rows=[(*MENU_PANE[:2], histogram(200_000_000, 212, 2)), *OTHER_PANES]),
        "L4 panes menu_generation{outcome=failed, provider=ollama} 2026-11-23T10:00:00Z: want count 1, got count 2",
    ),
    "a pane lost": (_changed(pane_rows=OTHER_PANES), "want count 1, got nothing"),
    "a pane too many": (_changed(pane_rows=[*PANE_ROWS, (("payment", (), TEN), 1, histogram())]), "want nothing, got count 1"),
    "a pane with a wrong sum": (
        _changed(pane_rows=[(*MENU_PANE[:2], histogram(100_000_001, 212)), *OTHER_PANES]),
        "want sum 100000000, got sum 100000001",
    ),
    "a pane with a wrong bucket": (
        _changed(pane_rows=[(*MENU_PANE[:2], histogram(100_000_000, 213)), *OTHER_PANES]),
        "want buckets {212: 1}, got buckets {213: 1}",
    ),
    "a pane that is two rows": (
        _changed(pane_rows=[*PANE_ROWS, (*PANE_ROWS[0][:2], histogram(None, count=0))]),
        "of partition 1: two rows",
    ),
    "a flush that takes a pane back": (
        lambda _, right: replace(right, flushes=[*right.flushes, flush(1, [(*MENU_PANE[:2], histogram(0, 212, 0))], 6)]),
        "L4 panes.v1 menu_generation{outcome=failed, provider=ollama} 2026-11-23T10:00:00Z: want count 1, got nothing",
    ),
    "one version with two contents": (
        lambda _, right: replace(right, flushes=[flush(1, [(*MENU_PANE[:2], histogram(7, 7))], 4), *right.flushes]),
        "has version 4 twice: want sum 7, got sum 100000000",
    ),
    "a wrong error rate": (
        _changed(error_rate=RATES),
        "L4 error_rate menu_generation{provider=ollama} 2026-11-23T10:00:00Z +60 s: want 1 of 1, got 1 of 2",
    ),
    "a missing total": (
        _changed(error_rate_total=[]),
        "L4 error_rate_total menu_generation{} 2026-11-23T10:00:00Z +300 s: want 1 of 1, got nothing",
    ),
    "a wrong latency": (
        _changed(latency_total=windows(Latency(1, 100.0, 99.0, 99.0, 99.0), "menu_generation")),
        "L4 latency_total menu_generation{} 2026-11-23T10:00:00Z +60 s: want count 1 mean 100.000000 p50 99.",
    ),
    "a later exposure": (
        _changed(first_exposures=[(("s-7", "new-planner"), ("B", TEN + 2_000))]),
        f"L4 first_exposures ('s-7', 'new-planner'): want ('B', {TEN + 1_000}), got ('B', {TEN + 2_000})",
    ),
    "a user who was not there": (
        lambda _, right: replace(right, user_days=[*right.user_days, (("u-42", TEN // 1_000), True)]),
        f"L4 user_days ('u-42', {TEN // 1_000}): want nothing, got True",
    ),
    "a forgotten day": (_changed(user_days=[]), "L4 user_days ('21', 1795392000): want True, got nothing"),
    "a hole in the log": (
        _changed(log_ends={1: 3}, committed={1: 3}),
        "L5 partition 1: 1 offsets below 3 are not in the log, the first is 2",
    ),
    "a repeat that counted": (
        lambda _, right: replace(right, stored=[*right.stored, (9, 1, EXPOSURE)]),
        f"L5 9/1 (event {EXPOSURE}) has a row in events_raw and does not count: its first copy is at 9/0",
    ),
    "a record not forwarded": (_changed(log=LOG[1:]), f"L5 3/0 (event {VIEW}) belongs to partition 0 and was not forwarded"),
    "a record forwarded astray": (
        lambda _, right: replace(right, log=[*LOG, record(2, 0, "view", {"moved_from": "3"})]),
        "L5 2/0 (event " + VIEW + ") was moved to partition 2, it belongs to 0",
    ),
    "poison without a row": (_changed(dead_letters=[]), "L5 5/0 (chaos-poison-1) must be a dead letter and is 0 times in dead_letters"),
    "a good event dead-lettered": (
        lambda _, right: replace(right, dead_letters=[*right.dead_letters, DeadLetterRow((1, 0), "invalid_json", "x", "")]),
        f"L5 1/0 ({MENU}) is in dead_letters and is none: invalid_json: x",
    ),
    "a dead letter without reason": (
        lambda _, right: replace(right, dead_letters=[DeadLetterRow((5, 0), "invalid_utf8", "", ""), right.dead_letters[1]]),
        "L5 5/0 (chaos-poison-1) is in dead_letters without a reason",
    ),
    "a conflict called something else": (
        lambda _, right: replace(right, dead_letters=[right.dead_letters[0], DeadLetterRow((1, 1), "invalid_json", "x", "")]),
        f"L5 1/1 ({MENU}!) is in dead_letters for the wrong reason: invalid_json",
    ),
    "poison not on the topic": (_changed(dlq=[record(0, 0, "conflict", dead(1, 1))]), "L5 5/0 (chaos-poison-1) is not on dlq.v1"),
    "other bytes on the topic": (
        lambda _, right: replace(right, dlq=[*right.dlq, record(0, 3, "menu", dead(5, 0))]),
        "L5 dlq.v1 offset 3 has other bytes than 5/0",
    ),
    "an event on the dead letter topic": (
        lambda _, right: replace(right, dlq=[*right.dlq, record(0, 3, "menu", dead(1, 0))]),
        "L5 dlq.v1 offset 3 is about 1/0, which is no dead letter",
    ),
    "a partition not committed": (_changed(committed={0: 1, 1: 1, 3: 2, 5: 1, 9: 2}), "L6 partition 1: committed is 1, the log ends at 2"),
    "an incident not opened": (_changed(alerts_log=[]), "L7 alerts.v1: want one firing and one resolved, got nothing"),
    "an incident not archived as closed": (_changed(alerts=[alert("firing")]), "L7 alerts: want one firing and one resolved, got ['firing"),
    "a second incident": (
        lambda _, right: replace(right, alerts_log=[*right.alerts_log, orjson.dumps(alert("firing") | {"transition_id": "again"})]),
        "L7 alerts.v1: want one firing and one resolved",
    ),
    "an incident at another time": (
        _changed(alerts=[alert(state) | {"since": "2026-11-23 09:00:00.000"} for state in ("firing", "resolved")]),
        "is not about the incident at",
    ),
    "nobody paged": (_changed(pagerduty=[]), f"L7 PagerDuty: want triggers of {KEY[:12]}, got nothing"),
    "another incident paged": (
        lambda _, right: replace(right, pagerduty=[*right.pagerduty, {"body": {"event_action": "trigger", "dedup_key": "f" * 64}}]),
        "L7 PagerDuty: want triggers of c0ffee000000, got c0ffee000000, ffffffffffff",
    ),
    "no message": (_changed(slack=[]), "L7 Slack: no message that the rule fires"),
    "not at rest": (_changed(unquiet=["3 hours are stale"]), "L0 not at rest in time: 3 hours are stale"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_each_planted_difference_is_found_and_named(name: str) -> None:
    """One thing made wrong in a world that is right: the law it breaks says so, with what is needed to look for it."""
    plant, line = PLANTED[name]
    ledger = sent()
    report = judge_world(ledger, plant(ledger, world()), {})
    assert any(line in difference for difference in report.differences), str(report)
    assert not report.ok


def test_a_copy_without_an_answer_may_be_there_or_not() -> None:
    """What nobody acknowledged counts when the log has it, and is not missed when it has not; that nobody did is said."""
    ledger = sent()
    for copy in ledger.copies:
        copy.outcome, copy.landed = "unknown", None
    never = tuple(f"L0 {count} copies by {how} were never answered, though they were sent again and again" for how, count in SENDINGS)
    assert judge_world(ledger, world(), {}).differences == never
    absent = [one for one in PANE_ROWS if one[1] != 0]
    without = replace(
        world(),
        log=[one for one in LOG if one.key != ITEMS["view"].key],
        log_ends={1: 2, 9: 2, 5: 1},
        events=[row for row in EVENT_ROWS if row.event_id != VIEW],
        stored=[(*row.place, row.event_id) for row in EVENT_ROWS if row.event_id != VIEW],
        pane_rows=absent,
        flushes=[flush(partition, [one for one in absent if one[1] == partition], 4) for partition in (1, 3, 9)],
        user_days=[one for one in world().user_days if one[0][0] != "21"],
    )
    assert judge_world(ledger, without, {}).differences == never


def test_without_an_incident_no_alert_may_be_there() -> None:
    """Failures stayed below the threshold: whatever the alerter said is wrong."""
    ledger = sent()
    ledger.incident = None
    lines = judge_world(ledger, world(), {}).differences
    assert any(line.startswith("L7 alerts.v1: no incident, got") for line in lines)
    assert judge_world(ledger, replace(world(), alerts_log=[], alerts=[], slack=[], pagerduty=[]), {}).ok


def test_incidents_of_other_rules_may_page_too() -> None:
    """A security signal of the traffic is a breach: who was paged for an incident that is on alerts.v1 was paged rightly."""
    other = json.dumps({"rule": "Security Breach", "incident_key": "f" * 64}).encode()
    paged = {"body": {"event_action": "trigger", "dedup_key": "f" * 64}}
    right = world()
    assert judge_world(sent(), replace(right, alerts_log=[*right.alerts_log, other], pagerduty=[*right.pagerduty, paged]), {}).ok


def test_a_long_report_is_cut_by_law_and_keeps_everything() -> None:
    """Thousands of lines of one law do not hide the one of another."""
    lost = replace(world(), unquiet=[str(number) for number in range(100)], pagerduty=[])
    report = judge_world(sent(), lost, {})
    assert len(report.differences) == 101
    text = str(report)
    assert "101 differences (L0 100, L7 1)" in text
    assert "L0 … and 88 more" in text
    assert "L7 PagerDuty" in text
