from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.aggregation import repeats
from pipeline.aggregation.repeats import SLACK_OFFSETS, WINDOW_OFFSETS, RepeatWindow

Record = tuple[int, int, int]  # offset, id, content hash

COUNTED, REPEAT, CONFLICT = 0, 1, 2


def reference(records: Iterable[Record]) -> tuple[list[int], list[Record]]:
    """The meaning in plain Python: verdicts, and the records that counted."""
    copies: dict[int, list[tuple[int, int]]] = {}
    verdicts, counted = [], []
    for offset, event_id, content in records:
        seen = [c for first, c in copies.get(event_id, []) if offset - WINDOW_OFFSETS <= first < offset]
        if seen:
            verdicts.append(REPEAT if seen[0] == content else CONFLICT)
        else:
            verdicts.append(COUNTED)
            copies.setdefault(event_id, []).append((offset, content))
            counted.append((offset, event_id, content))
    return verdicts, counted


def packed(event_ids: Iterable[int]) -> bytes:
    return b"".join(event_id.to_bytes(16, "big") for event_id in event_ids)


def judged(window: RepeatWindow, records: Sequence[Record], cuts: Iterable[int] = ()) -> list[int]:
    """Verdicts on the records when the stream is cut before each of these places."""
    bounds = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    verdicts: list[int] = []
    for start, end in itertools.pairwise(bounds):
        offsets, ids, contents = zip(*records[start:end], strict=True)
        verdicts += window.judge(packed(ids), offsets, contents)
    return verdicts


def reloaded(rows: Sequence[Record], position: int) -> RepeatWindow:
    window = RepeatWindow()
    offsets = np.array([offset for offset, _, _ in rows], np.uint64)
    contents = np.array([content for _, _, content in rows], np.uint64)
    window.load(packed(event_id for _, event_id, _ in rows), offsets, contents, position)
    return window


class Strain(NamedTuple):
    """What makes a hash table work hard: every id wants the same cell; look-ups go together above `few`; full after `cells`."""

    crowded: bool
    few: int
    cells: int


@contextmanager
def under(strain: Strain) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if strain.crowded:
            patch.setattr(repeats, "_FACTORS", np.zeros(3, np.uint64))
        patch.setattr(repeats, "_FEW", strain.few)
        patch.setattr(repeats, "_CELLS_USED_MAX", strain.cells)
        yield


strains = st.builds(Strain, crowded=st.booleans(), few=st.sampled_from([0, 3, 48]), cells=st.sampled_from([1, 20, 300_000]))


@st.composite
def streams(draw: st.DrawFn) -> list[Record]:
    """Records of few ids, so that copies meet, with gaps around the window's length, so that copies also just miss each other."""
    gap = st.one_of(
        st.integers(1, 3),
        st.integers(1, 60_000),
        st.sampled_from([SLACK_OFFSETS - 1, SLACK_OFFSETS, SLACK_OFFSETS + 1]),
        st.integers(WINDOW_OFFSETS - 2, WINDOW_OFFSETS + 2),
        st.sampled_from([WINDOW_OFFSETS + SLACK_OFFSETS, 2**31, 2**32 - WINDOW_OFFSETS, 2**32]),
    )
    event_id = st.one_of(st.integers(0, 5), st.sampled_from([2**64, 2**64 + 1, 2**127, 2**128 - 1]))
    drawn = draw(st.lists(st.tuples(gap, event_id, st.sampled_from([0, 1, 2**64 - 1])), min_size=1, max_size=80))
    offset, records = draw(st.sampled_from([-1, 5, 2**40])), []
    for step, identity, content in drawn:
        offset += step
        records.append((offset, identity, content))
    return records


places = st.lists(st.integers(1, 79), max_size=20)


@settings(deadline=None)
@given(streams(), places, strains)
def test_verdicts_do_not_depend_on_the_cut(records: list[Record], cuts: list[int], strain: Strain) -> None:
    """Any cut of any stream into chunks gives the verdicts of the plain model."""
    with under(strain):
        assert judged(RepeatWindow(), records, cuts) == reference(records)[0]


@settings(deadline=None)
@given(streams(), places, strains, st.integers(0, 79), st.integers(0, 3), st.randoms(use_true_random=False))
def test_verdicts_do_not_depend_on_where_a_reload_took_over(
    records: list[Record], cuts: list[int], strain: Strain, resumed: int, before: int, shuffle: random.Random
) -> None:
    """Rows of what counted, some of them ahead of the position, too old or twice, and a replay from there: the same verdicts."""
    verdicts, counted = reference(records)
    resumed %= len(records)
    position = max(records[resumed][0] - before, records[resumed - 1][0] + 1 if resumed else 0)
    rows = counted + counted[: len(counted) // 2]
    shuffle.shuffle(rows)
    with under(strain):
        assert judged(reloaded(rows, position), records[resumed:], cuts) == verdicts[resumed:]


@settings(deadline=None)
@given(streams(), st.lists(st.tuples(st.integers(1, 20), st.integers(0, 10)), max_size=20), strains)
@example([(0, 1, 0), (200_000, 1, 0), (200_000 + SLACK_OFFSETS - 1, 2, 0)], [(3, 2)], Strain(False, 0, 1))
def test_going_back_a_little_gives_the_same_verdicts(records: list[Record], walk: list[tuple[int, int]], strain: Strain) -> None:
    """Records within the slack are judged again and alike, however often; those further back are refused, which changes nothing."""
    verdicts, _ = reference(records)
    window, at, highest = RepeatWindow(), 0, -1
    with under(strain):
        for forward, back in [*walk, (len(records), 0)]:
            end = min(at + forward, len(records))
            assert judged(window, records[at:end]) == verdicts[at:end]
            highest = max(highest, records[end - 1][0])
            at = max(end - back, 0)
            while at < end and records[at][0] <= highest - SLACK_OFFSETS:
                with pytest.raises(ValueError, match="too far back"):
                    judged(window, records[at : at + 1])
                at += 1


def test_a_partition_full_of_events_is_judged_like_the_plain_model() -> None:
    """Half a million records, a third of them copies from all over the window and beyond, in chunks of any size, with three reloads."""
    rng = random.Random(1)
    records: list[Record] = []
    offset = 0
    for _ in range(500_000):
        offset += 1 if rng.random() < 0.99 else rng.randrange(2, 40)
        if records and rng.random() < 0.33:
            _, event_id, content = records[-rng.randrange(1, min(len(records), rng.choice([20, 2_000, 260_000])) + 1)]
            records.append((offset, event_id, content if rng.random() < 0.95 else content ^ 1))
        else:
            records.append((offset, rng.getrandbits(128), rng.getrandbits(64)))
    verdicts, counted = reference(records)
    reloads = sorted(rng.sample(range(1, len(records)), 3))
    got, window = [], RepeatWindow()
    for start, end in itertools.pairwise([0, *reloads, len(records)]):
        if start:
            window = reloaded(counted, records[start][0])
        got += judged(window, records[start:end], itertools.accumulate(rng.choices([1, 7, 60, 999, 2_000], k=2_000)))
    assert got == verdicts
    assert min(verdicts.count(verdict) for verdict in (COUNTED, REPEAT, CONFLICT)) > 5_000
