from __future__ import annotations

import pytest

from pipeline.agents.repair_panes import Difference, batches, closed_to, differences, refold
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.clickhouse.repair import StoredEvent

HOUR = 1_764_000_000_000
HOUR_MS = 3_600_000
VERSION = 101


def stored_view(offset: int, at_ms: int) -> StoredEvent:
    return StoredEvent(offset, "recipe_view", at_ms, at_ms + 50, "web", b'{"recipe_id":"r"}')


def view_pane(start_ms: int, count: int, version: int = 10) -> Snapshot:
    return Snapshot("recipe_interaction", ("view",), start_ms, count, 0, {}, 5, start_ms + 50, version)


def all_pane(start_ms: int, count: int, version: int = 10) -> Snapshot:
    return Snapshot("events", ("recipe_view", "web"), start_ms, count, 0, {}, 5, start_ms + 50, version)


def found(events: list[StoredEvent], stored: list[Snapshot], open_from_ms: int = HOUR + HOUR_MS) -> list[Difference]:
    panes = Panes()
    refold(panes, events, open_from_ms)
    return differences(panes, stored, open_from_ms, VERSION)


def repaired(
    events: list[StoredEvent], stored: list[Snapshot], open_from_ms: int = HOUR + HOUR_MS
) -> dict[tuple[str, int], tuple[int, int]]:
    rights = [difference.right for difference in found(events, stored, open_from_ms)]
    return {(s.metric, s.start_ms): (s.count, s.version) for s in rights}


def test_a_late_event_is_added_to_its_pane() -> None:
    """What events say and panes do not is written with the repair's version; a pane that is right is left alone."""
    events = [stored_view(1, HOUR), stored_view(2, HOUR + 10_000), stored_view(3, HOUR + 10_001)]
    stored = [view_pane(HOUR, 1), all_pane(HOUR, 1), view_pane(HOUR + 10_000, 1), all_pane(HOUR + 10_000, 1)]
    assert repaired(events, stored) == {
        ("recipe_interaction", HOUR + 10_000): (2, VERSION),
        ("events", HOUR + 10_000): (2, VERSION),
    }


def test_a_series_without_events_becomes_zero_once() -> None:
    """A pane whose events are gone is written as zero, and not written again when it is."""
    gone = [view_pane(HOUR, 4), all_pane(HOUR, 4)]
    assert repaired([], gone) == {("recipe_interaction", HOUR): (0, VERSION), ("events", HOUR): (0, VERSION)}
    assert repaired([], [view_pane(HOUR, 0), all_pane(HOUR, 0)]) == {}


def test_open_panes_belong_to_the_fold() -> None:
    """A repair neither adds to nor empties a pane that is still open."""
    open_from = HOUR + 10_000
    assert repaired([stored_view(2, HOUR + 10_000)], [], open_from) == {}
    assert repaired([], [view_pane(HOUR + 10_000, 4)], open_from) == {}


@pytest.mark.parametrize(
    ("stored", "events", "repeated", "cause"),
    [
        ([], 1, {}, "missing"),
        ([view_pane(HOUR, 0)], 1, {}, "missing"),
        ([view_pane(HOUR, 1)], 2, {HOUR: "repeat"}, "missing"),
        ([view_pane(HOUR, 2)], 1, {}, "extra"),
        ([view_pane(HOUR, 2)], 1, {HOUR + 10_000: "repeat"}, "extra"),
        ([view_pane(HOUR, 2)], 0, {HOUR: "repeat"}, "repeat"),
        ([view_pane(HOUR, 2)], 1, {HOUR: "repeat_elsewhere"}, "repeat_elsewhere"),
        ([Snapshot("recipe_interaction", ("view",), HOUR, 1, 7, {}, 5, HOUR, 10)], 1, {}, "different"),
    ],
)
def test_the_cause_is_what_the_comparison_shows(stored: list[Snapshot], events: int, repeated: dict[int, str], cause: str) -> None:
    """Too few is missing, too many a repeat where one was counted, else extra; as many, but something else, is different."""
    of_views = [
        difference
        for difference in found([stored_view(i, HOUR) for i in range(events)], stored)
        if difference.right.metric == "recipe_interaction"
    ]
    assert [difference.cause(repeated) for difference in of_views] == [cause]


@pytest.mark.parametrize(
    ("minutes", "seconds", "closed_hours"), [(0, 0, -1), (14, 50, -1), (14, 50.001, 0), (15, 0, 0), (74, 50, 0), (74, 50.001, 1)]
)
def test_an_hour_closes_with_its_last_pane(minutes: int, seconds: float, closed_hours: int) -> None:
    """The hour's last ten seconds begin at 59:50: they are closed once the watermark is more than 15 min beyond that."""
    hour = HOUR - HOUR % HOUR_MS
    assert closed_to(hour + minutes * 60_000 + int(seconds * 1000)) == hour + closed_hours * HOUR_MS


def test_hours_are_cut_by_their_events() -> None:
    """Hours go together while their events are few; one with too many stands alone; no hour is left out or twice."""
    hours = {HOUR + i * HOUR_MS: n for i, n in enumerate([4, 5, 1, 1, 30, 1, 9, 0])}
    assert [[hours[hour] for hour in batch] for batch in batches(hours, 10)] == [[4, 5, 1], [1], [30], [1, 9, 0]]
    assert batches({}, 10) == []


def test_hours_far_apart_are_not_read_together() -> None:
    """A batch spans no more than some months, however few its events are."""
    hours = [HOUR, HOUR + 2_000 * HOUR_MS, HOUR + 2_001 * HOUR_MS]
    assert batches(dict.fromkeys(hours, 0), 10) == [hours[:2], hours[2:]]


def test_an_event_that_cannot_be_folded_makes_its_hour_unknown_and_ends_nothing() -> None:
    """The hours of a menu without outcome, a page that is no text and properties that are no JSON are named; neighbours are folded."""
    events = [
        StoredEvent(1, "menu_generated", HOUR, HOUR, "web", b'{"recipe_count":1}'),
        StoredEvent(2, "web_vital", HOUR + HOUR_MS, HOUR, "web", b'{"name":"LCP","page":7,"rating":"good","value":1}'),
        StoredEvent(3, "recipe_view", HOUR + 2 * HOUR_MS, HOUR, "web", b"{"),
        StoredEvent(4, "of a later version", HOUR + 3 * HOUR_MS, HOUR, "web", b"{}"),
        stored_view(5, HOUR + 4 * HOUR_MS),
    ]
    panes = Panes()
    assert refold(panes, events, HOUR + 9 * HOUR_MS) == {HOUR, HOUR + HOUR_MS, HOUR + 2 * HOUR_MS, HOUR + 3 * HOUR_MS}
    assert {(pane.metric, pane.start_ms) for pane in panes.all(1)} >= {("recipe_interaction", HOUR + 4 * HOUR_MS)}


def test_a_repair_rates_a_web_vital_as_the_fold_does() -> None:
    """Whatever rating a stored event claims, the pane that a repair writes is that of its value: folded panes are left as they are."""
    claims_good = StoredEvent(1, "web_vital", HOUR, HOUR + 50, "web", b'{"name":"LCP","value":4000.5,"rating":"good","page":"/"}')
    rights = [difference.right for difference in found([claims_good], [])]
    assert {(s.metric, s.labels) for s in rights} == {("web_vital", ("LCP", "/", "poor")), ("events", ("web_vital", "web"))}
    assert found([claims_good], rights) == []
