from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregation.repeats import SLACK_OFFSETS, WINDOW_OFFSETS, RepeatWindow

Record = tuple[int, int, int]  # offset, id, content hash
Entry = tuple[int, int, int]  # the same, of a record that counted

COUNTED, REPEAT, CONFLICT = 0, 1, 2


def reference(records: Iterable[Record]) -> tuple[list[int], list[Entry]]:
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


def judged(window: RepeatWindow, records: Sequence[Record], cuts: Iterable[int]) -> list[int]:
    """Verdicts on the records when the stream is cut before each of these places."""
    bounds = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    verdicts: list[int] = []
    for start, end in itertools.pairwise(bounds):
        offsets, ids, contents = zip(*records[start:end], strict=True)
        verdicts += window.judge(b"".join(i.to_bytes(16, "big") for i in ids), offsets, contents)
    return verdicts


def reloaded(entries: Sequence[Entry], position: int) -> RepeatWindow:
    """A window that takes over at `position` from rows in no particular order."""
    window = RepeatWindow()
    window.load(
        b"".join(event_id.to_bytes(16, "big") for _, event_id, _ in entries),
        np.array([offset for offset, _, _ in entries], np.uint64),
        np.array([content for _, _, content in entries], np.uint64),
        position,
    )
    return window


@st.composite
def streams(draw: st.DrawFn) -> list[Record]:
    """Records of few ids, so that copies meet, with gaps around the window's length, so that copies also just miss each other."""
    gap = st.one_of(
        st.integers(1, 3),
        st.integers(1, 60_000),
        st.integers(WINDOW_OFFSETS - 2, WINDOW_OFFSETS + 2),
        st.sampled_from([WINDOW_OFFSETS + SLACK_OFFSETS, 2**31, 2**32 - 1, 2**32]),
    )
    event_id = st.one_of(st.integers(0, 5), st.sampled_from([2**64, 2**127, 2**128 - 1]))
    drawn = draw(st.lists(st.tuples(gap, event_id, st.sampled_from([0, 2**64 - 1])), min_size=1, max_size=60))
    offset, records = draw(st.sampled_from([0, 5, 2**40])), []
    for step, identity, content in drawn:
        offset += step
        records.append((offset, identity, content))
    return records


cuts = st.lists(st.integers(1, 59), max_size=20)


@given(streams(), cuts)
def test_verdicts_do_not_depend_on_the_cut(records: list[Record], cuts: list[int]) -> None:
    """Any cut of any stream into chunks gives the verdicts of the plain model."""
    wide = {i for i in range(1, len(records)) if records[i][0] - records[i - 1][0] > 2**30}
    assert judged(RepeatWindow(), records, wide.union(cuts)) == reference(records)[0]
