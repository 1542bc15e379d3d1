from __future__ import annotations

from pipeline.agents.repair import changes, refold
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.clickhouse.repair import StoredEvent

HOUR = 1_764_000_000_000
VERSION = 101


def stored_view(offset: int, at_ms: int) -> StoredEvent:
    return StoredEvent(offset, "recipe_view", at_ms, at_ms + 50, "web", b'{"recipe_id":"r"}')


def view_pane(start_ms: int, count: int, version: int = 10) -> Snapshot:
    return Snapshot("recipe_interaction", ("view",), start_ms, count, 0, {}, 5, start_ms + 50, version)


def all_pane(start_ms: int, count: int, version: int = 10) -> Snapshot:
    return Snapshot("events", ("recipe_view", "web"), start_ms, count, 0, {}, 5, start_ms + 50, version)


def repaired(
    events: list[StoredEvent], stored: list[Snapshot], open_from_ms: int = HOUR + 3_600_000
) -> dict[tuple[str, int], tuple[int, int]]:
    panes = Panes()
    refold(panes, events, open_from_ms)
    return {(s.metric, s.start_ms): (s.count, s.version) for s in changes(panes, stored, open_from_ms, VERSION)}


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
