"""Laws of the repair: it changes nothing that is right, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.repair_panes import Difference, differences, refold
from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.aggregation.watermark import pane_start
from pipeline.clickhouse.repair import StoredEvent

HOUR = 1_764_000_000_000
VERSION = 2 * 10_000 - 1

properties = st.builds(
    lambda value, outcome: f'{{"generation_time_ms":{value},"outcome":"{outcome}","provider":"p"}}'.encode(),
    st.floats(0, 3_600_000, allow_nan=False),
    st.sampled_from(["full", "failed"]),
)
events = st.lists(st.tuples(st.integers(0, 59_999), properties), max_size=40).map(
    lambda drawn: [
        StoredEvent(3 * offset, "menu_generated", HOUR + at_ms, HOUR + at_ms, "web", text) for offset, (at_ms, text) in enumerate(drawn)
    ]
)
open_from = st.integers(HOUR - 1, HOUR + 60_001)


def folded(events: list[StoredEvent], cuts: list[int]) -> list[Snapshot]:
    """As the fold leaves them: the newest snapshot of each pane, read out at some offsets and at the end."""
    panes = Panes()
    newest: dict[object, Snapshot] = {}
    for i, event in enumerate(events):
        refold(panes, [event], HOUR + 3_600_000)
        if i in cuts or i == len(events) - 1:
            newest |= {(s.metric, s.labels, s.start_ms): s for s in panes.changed()}
    return list(newest.values())


def found(events: list[StoredEvent], stored: list[Snapshot], open_from_ms: int) -> list[Difference]:
    panes = Panes()
    refold(panes, events, open_from_ms)
    return differences(panes, stored, open_from_ms, VERSION)


@given(events, st.lists(st.integers(0, 40)), open_from)
def test_an_hour_that_is_right_is_left_alone(events: list[StoredEvent], cuts: list[int], open_from_ms: int) -> None:
    """However the fold was cut into flushes, folding again finds nothing to change."""
    assert found(events, folded(events, cuts), open_from_ms) == []


@given(events, st.data(), open_from)
def test_whatever_was_damaged_is_right_after_one_repair(events: list[StoredEvent], data: st.DataObject, open_from_ms: int) -> None:
    """Panes lost, doubled, made up or changed: the repair writes exactly the closed ones of them, and a second one nothing."""
    right = folded(events, [])
    damaged = []
    for snapshot in right:
        match data.draw(st.sampled_from(["keep", "lose", "double", "change"])):
            case "keep":
                damaged.append(snapshot)
            case "double":
                damaged.append(replace(snapshot, count=2 * snapshot.count))
            case "change":
                damaged.append(replace(snapshot, buckets={**snapshot.buckets, 77: 1}))
    if data.draw(st.booleans()):
        damaged.append(Snapshot("menu_generation", ("nobody", "full"), HOUR, 3, 5, {1: 3}, 7, HOUR, 14))
    repaired = {(d.right.metric, d.right.labels, d.right.start_ms): d.right for d in found(events, damaged, open_from_ms)}
    after = {(s.metric, s.labels, s.start_ms): s for s in damaged} | repaired
    content = {key: (s.count, s.sum_millionths, s.buckets) for key, s in after.items() if s.start_ms < open_from_ms and s.count}
    assert content == {(s.metric, s.labels, s.start_ms): (s.count, s.sum_millionths, s.buckets) for s in right if s.start_ms < open_from_ms}
    assert all(pane_start(start_ms) < open_from_ms for _, _, start_ms in repaired)
    assert found(events, list(after.values()), open_from_ms) == []
