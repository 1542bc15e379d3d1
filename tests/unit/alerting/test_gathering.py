from __future__ import annotations

import json
import random

import pytest

from alerting.config.load import load_config
from alerting.engine.judge import Judge, bucketed_metrics_of, metrics_of
from alerting.gathering import Gathered
from schemas.pane import Flush
from tests.unit.alerting.traffic import now_at, sources

RULES = load_config().rules
METRICS, BUCKETED = metrics_of(RULES), bucketed_metrics_of(RULES)


def traffic_of(chance: random.Random) -> list[tuple[Flush, int]]:
    """Two minutes of flushes by all partitions, some of them parts without a watermark, in an order of the log's own, some twice."""
    partitions = sources()
    flushes = []
    for second in range(120):
        for source in chance.sample(partitions, 4):
            source.menus(second - chance.randrange(15), chance.randrange(1, 5), outcome=chance.choice(("full", "failed", "degraded")))
            caught_up_s = second if chance.random() < 0.5 else None
            flushes.append((source.flush(caught_up_s=caught_up_s, with_watermark=chance.random() < 0.8), now_at(second)))
    late = chance.sample(flushes, 40)
    return sorted(flushes + late, key=lambda flush: flush[1] + chance.randrange(5_000))


@pytest.mark.parametrize("seed", range(5))
def test_many_flushes_taken_in_as_one_are_judged_alike(seed: int) -> None:
    """A judge that was shown every flush, and one that was shown what they say together, say the same of the next flush."""
    chance = random.Random(seed)
    log, alike = traffic_of(chance), []
    for gathers in (False, True):
        judge, gathered = Judge(RULES), Gathered(METRICS, BUCKETED)
        for number, (flush, at_ms) in enumerate(log):
            if not gathers:
                judge.remember(flush, at_ms)
                continue
            gathered.add(flush.model_dump_json().encode(), at_ms)
            if number % 100 == 99:
                for together, newest_ms in gathered.flushes():
                    judge.remember(together, newest_ms)
        for together, newest_ms in gathered.flushes():
            judge.remember(together, newest_ms)
        next_flush = sources()[0].menus(121).flush(caught_up_s=125)
        alike.append([(j.rule.name, j.series, j.verdict, j.held_by, j.terms) for j in judge.flush(next_flush, now_at(126))])
    assert alike[0] == alike[1]
    assert {name for name, _, _, _, _ in alike[0]} >= {"Menu Generation Critical", "Fallback Share High"}


def test_what_was_taken_is_not_told_again() -> None:
    """Only partitions that spoke since are in the next flushes."""
    one, other, *_ = sources()
    gathered = Gathered(METRICS, BUCKETED)
    gathered.add(one.menus(1).flush().model_dump_json().encode(), now_at(2))
    gathered.add(one.menus(3).flush().model_dump_json().encode(), now_at(4))
    ((flush, at_ms),) = gathered.flushes()
    assert (flush.source_partition, flush.last_offset, [pane.count for pane in flush.panes], at_ms) == (0, 1, [2], now_at(4))
    gathered.add(other.menus(1).flush().model_dump_json().encode(), now_at(5))
    assert [flush.source_partition for flush, _ in gathered.flushes()] == [1]
    assert list(gathered.flushes()) == []


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"null",
        b'{"panes":[]}',
        b'{"source_partition":99,"last_offset":1,"watermark":null,"caught_up_at":null,"panes":[]}',
        b'{"source_partition":"0","last_offset":1,"watermark":null,"caught_up_at":null,"panes":[]}',
        b'{"source_partition":0,"last_offset":1,"watermark":"noon","caught_up_at":null,"panes":[]}',
        b'{"source_partition":0,"last_offset":1,"watermark":"2026-11-26T10:00:00","caught_up_at":null,"panes":[]}',
        b'{"source_partition":0,"last_offset":1.5,"watermark":"2026-11-26T10:00:00Z","caught_up_at":null,"panes":[]}',
        b'{"source_partition":0,"last_offset":1,"watermark":3,"caught_up_at":null,"panes":[]}',
        b'{"source_partition":0,"last_offset":1,"watermark":null,"caught_up_at":null,"panes":{"a":1}}',
        b'{"source_partition":0,"last_offset":1,"watermark":null,"caught_up_at":null,"panes":[{"metric":["x"]}]}',
    ],
)
def test_what_no_worker_writes_is_refused(value: bytes) -> None:
    """As the parser of single flushes does, by a ValueError and no other."""
    with pytest.raises(ValueError, match=r"."):
        Gathered(METRICS, BUCKETED).add(value, 0)


def test_a_pane_that_is_none_is_left_out() -> None:
    """Of a flush that nobody could read, whatever part of it looks like a pane: it stops nothing and counts nothing."""
    flush = json.loads(sources()[0].menus(1).flush().model_dump_json())
    gathered = Gathered(METRICS, BUCKETED)
    for broken in ({"count": -1}, {"sum": "x"}, {"start": "noon"}):
        gathered.add(json.dumps(flush | {"panes": [flush["panes"][0] | broken | {"version": 99}]}).encode(), 0)
    ((together, _),) = gathered.flushes()
    assert together.panes == []
