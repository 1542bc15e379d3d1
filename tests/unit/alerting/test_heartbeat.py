from __future__ import annotations

from alerting.heartbeat import INTERVAL_MS, WATCHDOG, Heartbeat
from schemas.decision import parse_decision
from tests.unit.alerting.traffic import T0_MS


def test_a_heartbeat_is_due_until_kafka_has_it_and_then_again_after_a_while() -> None:
    """What was not published does not count: the next attempt brings another one, every 15 s from the one that arrived."""
    heartbeat = Heartbeat()
    lost = heartbeat.due(T0_MS)
    assert lost is not None
    arrived = heartbeat.due(T0_MS + 200)
    assert arrived is not None
    heartbeat.published([arrived])
    assert heartbeat.due(T0_MS + 200 + INTERVAL_MS - 1) is None
    following = heartbeat.due(T0_MS + 200 + INTERVAL_MS)
    assert following is not None
    assert len({lost.decision_id, arrived.decision_id, following.decision_id}) == 3


def test_a_heartbeat_is_a_record_of_the_ledger() -> None:
    """Readers of `decisions.v1` take it, and know it by its kind and rule."""
    beat = Heartbeat().due(T0_MS)
    assert beat is not None
    read = parse_decision(beat.model_dump_json().encode())
    assert (read.kind, read.rule, read.at) == ("heartbeat", WATCHDOG, beat.at)
