from __future__ import annotations

import hashlib
import json
from typing import get_args

import pytest

from tests.bench.check import compare_panes
from tests.bench.events import Mix, Reckoning, Spec, events
from tests.bench.peers.work import EVENT_COLUMNS, PANE_COLUMNS, Work
from tests.bench.rig import ROOT

#: Changing the baseline changes what every published ratio means: do it only to publish all of them anew.
BASELINE_SHA256 = "27ac3c54ad87fd164da14f317c5d8d7587927ff0e6c7f06067251aef280649ff"
START_MS = 1_764_000_000_000


def test_the_baseline_is_the_file_that_published_ratios_refer_to() -> None:
    """Not a byte of the stock Faust agent has changed."""
    baseline = ROOT / "tests" / "bench" / "peers" / "stock_faust.py"
    assert hashlib.sha256(baseline.read_bytes()).hexdigest() == BASELINE_SHA256


@pytest.mark.parametrize("mix", get_args(Mix))
def test_the_work_of_the_peers_makes_the_panes_that_were_counted(mix: Mix) -> None:
    """Rows of a flush, newest snapshot per partition, added over partitions; in two flushes, so that panes go on."""
    reckoning, work, newest, rows = Reckoning(), Work(), {}, 0
    made = list(events(Spec(4_000, START_MS, users=50, mix=mix), reckoning))
    for half in (made[:2_000], made[2_000:]):
        for partition in {event.partition for event in half}:
            values = [event.value for event in half if event.partition == partition]
            first = rows
            work.fold(partition, values, range(first, first + len(values)), [START_MS] * len(values))
            rows += len(values)
        taken = work.take()
        assert len(json.loads(b"[" + taken.event_rows + b"]")) == 2_000
        for line in json.loads(b"[" + taken.pane_rows + b"]"):
            pane = dict(zip(PANE_COLUMNS, line, strict=True))
            newest[pane["metric"], str(pane["labels"]), pane["start"], pane["source_partition"]] = pane
    stored: dict[tuple[str, str, float], dict[str, object]] = {}
    for pane in newest.values():
        total = stored.setdefault(
            (pane["metric"], str(pane["labels"]), pane["start"]),
            {
                "metric": pane["metric"],
                "labels": pane["labels"],
                "start_ms": round(pane["start"] * 1000),
                "count": 0,
                "sum": 0,
                "in_buckets": 0,
            },
        )
        for key, value in (("count", pane["count"]), ("sum", pane["sum"]), ("in_buckets", sum(pane["buckets"].values()))):
            total[key] += value
    assert compare_panes(list(stored.values()), reckoning.panes()) == ""


def test_what_is_no_event_leaves_its_neighbours() -> None:
    """A batch with a broken value is read one by one."""
    work = Work()
    good = [event.value for event in events(Spec(2, START_MS))]
    work.fold(0, [good[0], b"{", good[1]], [5, 6, 7], [START_MS] * 3)
    rows = [dict(zip(EVENT_COLUMNS, line, strict=True)) for line in json.loads(b"[" + work.take().event_rows + b"]")]
    assert [row["kafka_offset"] for row in rows] == [5, 7]
