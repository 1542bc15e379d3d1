from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from pipeline.aggregation.panes import Panes
from pipeline.aggregation.partition import Folded, PartitionState
from pipeline.aggregation.repeats import RepeatWindow
from schemas.event import decode
from schemas.partitioning import partition_of

NOW = 1_764_000_000_000
USER = "u-1"
PARTITION = partition_of(USER)


@dataclass
class Record:
    offset: int
    value: bytes
    timestamp: int = NOW
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def view(number: int, occurred: str = "2025-11-24T16:00:00.000Z", **fields: Any) -> bytes:
    event = {
        "event_id": f"00000000-0000-7000-8000-{number:012d}",
        "event_type": "recipe_view",
        "schema_version": 1,
        "occurred_at": occurred,
        "source": {"service": "web", "environment": "test"},
        "user_id": USER,
        "properties": {"recipe_id": "r-1"},
    }
    return orjson.dumps(event | fields)


def fresh() -> PartitionState:
    return PartitionState(PARTITION, 0, 0, Panes(), RepeatWindow())


def fold(state: PartitionState, *records: Record) -> Folded:
    return state.fold(records, decode([record.value for record in records]), records[-1].offset + 1)


def counts(state: PartitionState) -> dict[tuple[str, ...], int]:
    return {(pane.metric, *pane.labels): pane.count for pane in state.panes.changed()}


def test_an_event_feeds_its_metric_and_the_count_of_all() -> None:
    """A recipe view is one recipe_interaction and one of `events`."""
    state = fresh()
    folded = fold(state, Record(0, view(1)))
    assert [counted.offset for counted in folded.counted] == [0]
    assert counts(state) == {("recipe_interaction", "view"): 1, ("events", "recipe_view", "web"): 1}
    assert state.position == 1


def test_a_repeat_is_counted_once() -> None:
    """The same event twice is one event and one repeat."""
    state = fresh()
    folded = fold(state, Record(0, view(1)), Record(1, view(1)))
    assert len(folded.counted) == 1
    assert folded.repeats == 1
    assert counts(state)["recipe_interaction", "view"] == 1


def test_the_same_id_with_other_content_is_a_conflict() -> None:
    """A second event under a used id is refused; the first one stands."""
    state = fresh()
    folded = fold(state, Record(0, view(1)), Record(1, view(1, properties={"recipe_id": "r-2"})))
    assert folded.bad[1].code == "event_id_conflict"
    assert [counted.index for counted in folded.counted] == [0]


def test_order_of_properties_is_no_conflict() -> None:
    """Content is compared in canonical form."""
    state = fresh()
    one, other = {"recipe_id": "r-1", "time_spent_ms": 5}, {"time_spent_ms": 5, "recipe_id": "r-1"}
    folded = fold(state, Record(0, view(1, properties=one)), Record(1, view(1, properties=other)))
    assert folded.repeats == 1
    assert not folded.bad


def test_a_record_of_another_partition_is_moved_once() -> None:
    """A user of another partition is not counted here, unless the record says that it was moved already."""
    elsewhere = next(f"u-{i}" for i in range(100) if partition_of(f"u-{i}") != PARTITION)
    state = fresh()
    folded = fold(
        state,
        Record(0, view(1, user_id=elsewhere)),
        Record(1, view(2, user_id=elsewhere), headers=[("moved_from", b"3")]),
    )
    assert folded.moved == [0]
    assert [counted.offset for counted in folded.counted] == [1]


def test_a_time_far_ahead_of_the_broker_is_set_to_it() -> None:
    """More than ten minutes ahead is the broker's time; ten minutes exactly is believed."""
    state = fresh()
    ahead = [NOW + 600_000, NOW + 600_001]
    values = [view(i, occurred=f"2025-11-24T16:10:00.00{i}Z") for i in range(2)]
    folded = fold(state, Record(0, values[0]), Record(1, values[1]))
    assert [counted.sent_ms for counted in folded.counted] == ahead
    assert [counted.occurred_ms for counted in folded.counted] == [NOW + 600_000, NOW]


def test_the_watermark_never_passes_the_broker_and_never_goes_back() -> None:
    """The watermark is the highest min(occurred, received)."""
    state = fresh()
    fold(state, Record(0, view(1, occurred="2025-11-24T15:59:00.000Z")))
    assert state.watermark_ms == NOW - 60_000
    fold(state, Record(1, view(2, occurred="2025-11-24T16:05:00.000Z")))
    assert state.watermark_ms == NOW
    fold(state, Record(2, view(3, occurred="2025-11-24T15:00:00.000Z")))
    assert state.watermark_ms == NOW


def test_an_event_for_a_closed_pane_marks_its_hour() -> None:
    """A pane that starts more than 15 minutes behind the watermark is not folded: its hour is marked with the offset."""
    state = fresh()
    folded = fold(
        state,
        Record(0, view(1)),
        Record(1, view(2, occurred="2025-11-24T15:45:00.000Z")),
        Record(2, view(3, occurred="2025-11-24T15:44:59.999Z")),
    )
    assert folded.stale == {NOW - 3_600_000: 2}
    assert [counted.offset for counted in folded.counted] == [0, 1, 2]
    assert counts(state)["recipe_interaction", "view"] == 1  # of the last pane looked at: both open ones have one each


def test_a_bad_event_is_reported_in_its_place() -> None:
    """Poison between two events is one bad record, and they are counted."""
    state = fresh()
    folded = fold(state, Record(0, view(1)), Record(1, b"\xff"), Record(2, view(2)))
    assert {i: bad.code for i, bad in folded.bad.items()} == {1: "invalid_utf8"}
    assert [counted.offset for counted in folded.counted] == [0, 2]


def test_the_first_exposure_of_a_chunk_is_the_earliest() -> None:
    """Of several exposures of one subject to one flag the earliest is the fact, ties go to the smaller event id."""
    state = fresh()
    shown = {"event_type": "feature_exposure"}
    folded = fold(
        state,
        Record(0, view(3, **shown, properties={"flag": "f", "variant": "B"})),
        Record(1, view(2, **shown, properties={"flag": "f", "variant": "A"})),
        Record(2, view(4, **shown, properties={"flag": "f", "variant": "C"}, occurred="2025-11-24T16:00:00.001Z")),
    )
    ((key, exposure),) = folded.exposures.items()
    assert key == (USER, "f")
    assert exposure.variant == "A"
