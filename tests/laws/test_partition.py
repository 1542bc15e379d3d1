"""State at an offset is a function of the records below it: chunks, crashes and replays change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aggregation.panes import Panes, Snapshot
from pipeline.aggregation.partition import PartitionState
from pipeline.aggregation.repeats import RepeatWindow
from schemas import modes
from schemas.event import decode
from schemas.partitioning import partition_of

NOW = 1_764_000_000_000
USER = "u-1"
PARTITION = partition_of(USER)
MINUTE = 60_000


@dataclass
class Record:
    offset: int
    value: bytes
    timestamp: int
    headers: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(frozen=True)
class Sent:
    """What the generator knows of an event."""

    number: int
    occurred_ms: int
    duration: int
    #: Minutes by which the sender's clock is behind, None when it does not say when it sent.
    behind: int | None
    is_bot: bool
    is_broken: bool

    def content(self) -> tuple[int, int, bool]:
        """What makes it another event under the same id."""
        return self.occurred_ms, self.duration, self.is_broken


@pytest.fixture(autouse=True, scope="module")
def lenient() -> Iterator[None]:
    """Menus that break their schema are stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modes, "MODES", {"menu_generated": "observe"})
        yield


sent = st.builds(
    Sent,
    number=st.integers(0, 12),
    occurred_ms=st.integers(-40, 12).map(lambda minutes: NOW + minutes * MINUTE),
    duration=st.integers(0, 3),
    behind=st.none() | st.sampled_from([-1_800, -120, -2, -1, 0, 1, 2, 120]),
    is_bot=st.integers(0, 5).map(lambda drawn: drawn == 5),
    is_broken=st.integers(0, 5).map(lambda drawn: drawn == 5),
)


def record(offset: int, event: Sent) -> Record:
    received = NOW + offset * 1000
    properties = {"recipe_count": 1, "restrictions": [], "generation_time_ms": event.duration, "outcome": "full"}
    document = {
        "event_id": f"00000000-0000-7000-8000-{event.number:012d}",
        "event_type": "menu_generated",
        "schema_version": 1,
        "occurred_at": iso(event.occurred_ms),
        "source": {"service": "menu-api", "environment": "test"},
        "user_id": USER,
        "properties": properties | ({"outcome": "perhaps"} if event.is_broken else {}),
    }
    if event.behind is not None:
        document["sent_at"] = iso(received - event.behind * MINUTE)
    if event.is_bot:
        document["bot_reasons"] = ["crawler"]
    return Record(offset, orjson.dumps(document), received)


def iso(ms: int) -> str:
    return f"{np.datetime64(ms, 'ms')}Z"


def expected(events: list[Sent]) -> tuple[Counter[int], set[int], set[int]]:
    """Counts by pane start, offsets that count, hours with late events: written from the contract, one record at a time."""
    first: dict[int, tuple[int, int, bool]] = {}
    watermark = 0
    panes: Counter[int] = Counter()
    counting, stale = set(), set()
    for offset, event in enumerate(events):
        received = NOW + offset * 1000
        if event.number in first and first[event.number] != event.content():
            continue
        if event.is_broken:
            if event.number not in first:
                first[event.number] = event.content()
                counting.add(offset)
            continue
        occurred = event.occurred_ms + (event.behind * MINUTE if event.behind is not None and abs(event.behind) > 1 else 0)
        occurred = received if occurred > received + 10 * MINUTE else occurred
        watermark = max(watermark, min(occurred, received))
        if event.number in first:
            continue
        first[event.number] = event.content()
        counting.add(offset)
        if occurred // 10_000 * 10_000 < watermark - 15 * MINUTE:
            stale.add(occurred // 3_600_000 * 3_600_000)
        elif not event.is_bot:
            panes[occurred // 10_000 * 10_000] += 1
    return panes, counting, stale


class Store:
    """ClickHouse and the committed offset, as far as the law needs them."""

    def __init__(self) -> None:
        self.panes: dict[tuple[Any, ...], Snapshot] = {}
        self.counted: dict[int, tuple[bytes, int]] = {}
        self.stale: set[int] = set()
        self.progress = (0, 0)
        self.committed = 0

    def load(self) -> PartitionState:
        position, watermark = min(self.committed, self.progress[0]), self.progress[1]
        repeats = RepeatWindow()
        offsets = np.array(sorted(self.counted), np.int64)
        ids = b"".join(self.counted[offset][0] for offset in sorted(self.counted))
        hashes = np.array([self.counted[offset][1] for offset in sorted(self.counted)], np.uint64)
        repeats.load(ids, offsets, hashes, position)
        loaded = [pane for pane in self.panes.values() if pane.start_ms >= watermark - 15 * MINUTE]
        return PartitionState(PARTITION, position, watermark, Panes(loaded), repeats)

    def write(self, state: PartitionState, records: list[Record], steps: int) -> bool:
        """Fold and make durable in the order of effects; only the first `steps` happen. True when all did."""
        decoded = decode([r.value for r in records])
        folded = state.fold(records, decoded, records[-1].offset + 1)
        snapshots = state.panes.changed()
        if steps > 0:
            for counted in folded.counted:
                event = decoded.events[counted.index]
                assert event is not None
                self.counted[counted.offset] = (bytes.fromhex(event["event_id"].replace("-", "")), counted.content_hash)
        if steps > 1:
            self.stale |= set(folded.stale)
        if steps > 2:
            for pane in snapshots:
                key = (pane.start_ms, pane.metric, pane.labels)
                if key not in self.panes or pane.version > self.panes[key].version:
                    self.panes[key] = pane
        if steps > 3 and state.position > self.progress[0]:
            self.progress = (state.position, state.watermark_ms)
        if steps > 4:
            self.committed = state.position
        return steps > 4


@settings(max_examples=300, deadline=None)
@given(
    events=st.lists(sent, min_size=1, max_size=30),
    cuts=st.lists(st.tuples(st.integers(1, 8), st.integers(0, 9)), min_size=1, max_size=60),
)
def test_crashes_between_any_two_effects_change_no_number(events: list[Sent], cuts: list[tuple[int, int]]) -> None:
    """However the log is cut into chunks, and wherever between two effects the worker dies, panes and counted events are the same."""
    store = Store()
    records = [record(offset, event) for offset, event in enumerate(events)]
    state = store.load()
    lives = iter([*cuts, *[(8, 9)] * len(events)])
    while state.position < len(records):
        size, steps = next(lives)
        if not store.write(state, records[state.position : state.position + size], steps):
            state = store.load()
    panes, counting, stale = expected(events)
    stored = {pane.start_ms: pane.count for pane in store.panes.values() if pane.metric == "menu_generation" and pane.count}
    assert stored == dict(panes)
    assert set(store.counted) == counting
    assert store.stale >= stale
