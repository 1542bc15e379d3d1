from __future__ import annotations

from pipeline.aggregation.panes import COLD_AFTER_MS, Panes, Snapshot
from pipeline.aggregation.watermark import OPEN_MS

START = 1_764_000_000_000


def test_a_pane_adds_count_sum_and_buckets() -> None:
    """Two values of 1 and 2 ms make count 2, a sum of 3 million millionths, and the buckets that end at 1 and at 2."""
    panes = Panes()
    panes.fold(START, "menu_generation", ("ollama", "full"), 1.0, 7, START + 5)
    panes.fold(START, "menu_generation", ("ollama", "full"), 2.0, 9, START + 6)
    assert panes.changed() == [
        Snapshot("menu_generation", ("ollama", "full"), START, 2, 3_000_000, {-1: 1, 31: 1}, 9, START + 5, 18),
    ]


def test_a_record_is_folded_once() -> None:
    """An offset that is not beyond the pane's last one changes nothing."""
    panes = Panes([Snapshot("events", ("recipe_view", "web"), START, 5, 0, {}, 12, START, 24)])
    panes.fold(START, "events", ("recipe_view", "web"), None, 11, START)
    panes.fold(START, "events", ("recipe_view", "web"), None, 12, START)
    assert panes.changed() == []
    panes.fold(START, "events", ("recipe_view", "web"), None, 13, START)
    assert [(pane.count, pane.version) for pane in panes.changed()] == [(6, 26)]


def test_changed_names_each_pane_once_and_then_no_more() -> None:
    """Snapshots are absolute: one per changed pane, whatever was folded into it."""
    panes = Panes()
    for offset in range(10):
        panes.fold(START, "events", ("recipe_view", "web"), None, offset, START)
    assert [pane.count for pane in panes.changed()] == [10]
    assert panes.changed() == []


def test_the_first_hundred_values_of_a_label_keep_their_name() -> None:
    """The hundred and first page of a pane folds into ':other', and a known page still counts under its own name."""
    panes = Panes()
    for offset in range(120):
        panes.fold(START, "web_vital", ("LCP", f"/page/{offset}", "good"), 1.0, offset, START)
    panes.fold(START, "web_vital", ("LCP", "/page/3", "good"), 1.0, 120, START)
    counts = {pane.labels[1]: pane.count for pane in panes.changed()}
    assert len(counts) == 101
    assert counts[":other"] == 20
    assert counts["/page/3"] == 2
    assert "/page/100" not in counts


def test_the_cap_is_carried_by_the_panes_themselves() -> None:
    """A state loaded from snapshots caps the same values as the state that wrote them."""
    first = Panes()
    for offset in range(100):
        first.fold(START, "web_vital", ("LCP", f"/page/{offset}", "good"), 1.0, offset, START)
    second = Panes(first.changed())
    second.fold(START, "web_vital", ("LCP", "/page/100", "good"), 1.0, 100, START)
    assert [pane.labels for pane in second.changed()] == [("LCP", ":other", "good")]


def test_closed_panes_are_forgotten_only_after_they_were_read_out() -> None:
    """Memory of a closed pane is given back, but never before its last change was taken."""
    panes = Panes()
    panes.fold(START, "events", ("recipe_view", "web"), None, 1, START)
    panes.forget_before(START + 10_000)
    assert len(panes) == 1
    panes.changed()
    panes.forget_before(START + 10_000)
    assert len(panes) == 0


def test_a_packed_pane_goes_on_as_if_it_had_not_been_packed() -> None:
    """Records that come minutes later for an open pane, after a replay too, find its count, sum, buckets and last offset."""
    labels = ("ollama", "full")
    panes, unpacked = Panes(), Panes()
    for each in (panes, unpacked):
        for offset, value in ((3, 100.0), (5, 0.0), (8, 250.5)):
            each.fold(0, "menu_generation", labels, value, offset, 1_000)
        each.changed()
    panes.forget_before(COLD_AFTER_MS + 10_000 - OPEN_MS)
    assert not panes._panes, "it is packed"
    assert len(panes) == 1
    assert panes.all(9) == unpacked.all(9)
    for each in (panes, unpacked):
        each.fold(0, "menu_generation", labels, 7.0, 8, 2_000)
        each.fold(0, "menu_generation", labels, 7.0, 9, 2_000)
    assert panes.changed() == unpacked.changed()
    panes.forget_before(10_000)
    assert len(panes) == 0
