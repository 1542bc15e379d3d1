from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aggregation.accepted_runs import accepted_runs
from pipeline.aggregation.partition import Counted, Folded
from schemas.acceptance import ACCEPTED_BY
from schemas.event import BadEvent

BAD = BadEvent("invalid_json", ())


@dataclass(frozen=True, slots=True)
class Read:
    """A record, and what became of it."""

    offset: int
    timestamp: int
    source: str
    fate: str

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        return (("other", b"x"), (ACCEPTED_BY, self.source.encode())) if self.source else ()


@st.composite
def logs(draw: st.DrawFn) -> list[Read]:
    """Batches of several gateways and of others, one after the other, now and then with a hole in the offsets."""
    log: list[Read] = []
    offset = draw(st.integers(0, 3))
    for _ in range(draw(st.integers(0, 6))):
        source, stamp = draw(st.sampled_from(["", "g1", "g2"])), draw(st.integers(0, 2))
        for fate in draw(st.lists(st.sampled_from(["counted", "counted", "repeated", "moved", "bad"]), max_size=4)):
            log.append(Read(offset, stamp, source, fate))
            offset += draw(st.sampled_from([1, 1, 1, 2]))
    return log


def folded(chunk: list[Read]) -> Folded:
    counted = [Counted(i, {}, one.offset, 0, 0, 0, 0, 0) for i, one in enumerate(chunk) if one.fate == "counted"]  # type: ignore[arg-type]
    moved = [i for i, one in enumerate(chunk) if one.fate == "moved"]
    return Folded(counted=counted, moved=moved, bad={i: BAD for i, one in enumerate(chunk) if one.fate == "bad"})


@settings(max_examples=150)
@given(logs(), st.sets(st.integers(0, 30)))
def test_runs_say_of_every_record_who_accepted_it_and_what_became_of_it(log: list[Read], cuts: set[int]) -> None:
    """The same, record by record, however the log is cut into chunks; records of others are in no run."""
    places = sorted({bisect_left([one.offset for one in log], cut) for cut in cuts} | {0, len(log)})
    told = []
    for first, after in pairwise(places):
        for run in accepted_runs(log[first:after], folded(log[first:after])):
            for offset in range(run.first_offset, run.last_offset + 1):
                fate = "bad" if offset in run.dead_lettered else "aside" if offset in run.repeated else "counted"
                told.append((offset, run.received_ms, run.accepted_by, fate))
    aside = {"repeated": "aside", "moved": "aside"}
    assert told == [(one.offset, one.timestamp, one.source, aside.get(one.fate, one.fate)) for one in log if one.source]
