from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from schemas.event import EVENT_TYPES, BadEvent, decode_one
from schemas.partitioning import TEST_VECTORS
from tests.chaos.sent import Copy, Item, Sent
from tests.chaos.traffic_events import BROKEN_PROVIDER
from tests.chaos.traffic_gateway import encode, settle
from tests.chaos.traffic_poison import KAFKA_KINDS
from tests.chaos.traffic_script import Script, Sending, incident_of
from tests.unit.chaos.small_world import ITEMS, TEN, copied, sent

EVENTS_PER_S = 200


@cache
def script(seed: int, *, duration_s: int = 60) -> list[Sending]:
    """All of a run, as if time passed evenly."""
    incident = incident_of(TEN, duration_s)
    made = Script(seed, duration_s=duration_s, gateway_share=0.4, incident=incident)
    times = (number / EVENTS_PER_S for number in range(duration_s * EVENTS_PER_S))
    return [sending for at_s in times for sending in made.next(TEN + int(at_s * 1000), at_s)]


def distinct(sendings: list[Sending]) -> dict[str, Item]:
    return {sending.item.name: sending.item for sending in sendings}


def test_a_seed_is_a_run() -> None:
    """The same seed says the same, another one something else."""
    assert script(7, duration_s=5) == script.__wrapped__(7, duration_s=5)
    assert script(7, duration_s=5) != script(8, duration_s=5)


def test_events_are_valid_and_poison_is_not() -> None:
    """By the public schema: every event and conflict is one, no poison of any kind is, and every kind comes."""
    items = distinct(script(2)).values()
    refused = [item.name for item in items if isinstance(decode_one(item.value or b""), BadEvent)]
    assert refused == [item.name for item in items if item.what == "poison"]
    assert {item.why for item in items if item.what == "poison"} == set(KAFKA_KINDS)


def test_every_event_type_comes() -> None:
    """All of the contract's but `accepted_count`, which is the gateway's own to send."""
    types = {item.document()["event_type"] for item in distinct(script(2)).values() if item.what == "event"}
    assert types == set(EVENT_TYPES) - {"accepted_count"}


def test_every_way_of_sending_comes() -> None:
    """One to three copies, both ways, at once and much later but never after the end, on wrong partitions, first ones among them."""
    sendings = script(1)
    copies = Counter(sending.item.name for sending in sendings if sending.item.what == "event")
    firsts = {sending.item.name: sending for sending in reversed(sendings)}
    astray = {
        sending.item.name for sending in sendings if sending.partition not in (None, sending.item.home) and sending.item.what == "event"
    }
    assert set(copies.values()) == {1, 2, 3}
    assert {sending.how for sending in sendings} == {"kafka", "gateway"}
    assert max(sending.at_s - firsts[sending.item.name].at_s for sending in sendings) > 40
    assert max(sending.at_s for sending in sendings) < 60
    assert any(firsts[name].partition is not None for name in astray)
    assert {item.home for item in distinct(sendings).values() if item.what == "event"} == set(range(12))
    assert {item.why for item in distinct(sendings).values()} >= {"ordinary", "late", "clamped"}


def test_of_a_conflict_the_first_content_is_certain() -> None:
    """The event goes straight to its own partition first, the other content only after that is acknowledged; id and key are the same."""
    sendings = script(1)
    firsts = {sending.item.name: sending for sending in reversed(sendings)}
    conflicts = [sending for sending in sendings if sending.item.what == "conflict"]
    assert conflicts
    for conflict in conflicts:
        first = firsts[conflict.item.event_id]
        assert (first.how, first.partition, first.item.key) == ("kafka", None, conflict.item.key)
        assert conflict.after_first
        assert first.item.document() != conflict.item.document()


def test_the_incident_is_true_once_and_unmistakable() -> None:
    """Over the last minute at every second: above 8 % soon, below 4 % from the half of the run on, never near the 5 % but once."""
    for duration_s in (30, 60):
        ratios = failure_ratios(distinct(script(3, duration_s=duration_s)), duration_s)
        assert max(ratios) > 0.08
        above = [second for second, ratio in enumerate(ratios) if ratio > 0.05]
        assert above == list(range(above[0], above[-1] + 1))
        assert above[-1] < duration_s * 0.75
        assert ratios[-1] < 0.04


def failure_ratios(items: dict[str, Item], duration_s: int) -> list[float]:
    """Failed of all menus in the minute that ends at each second from the fourth on."""
    menus: list[tuple[float, dict[str, Any]]] = []
    for number, item in enumerate(one for one in items.values() if one.what == "event"):
        event = item.document()
        if event["event_type"] == "menu_generated" and item.why == "ordinary":
            menus.append((number / EVENTS_PER_S, event["properties"]))
    ratios = []
    for end in range(4, duration_s + 1):
        window = [properties for at_s, properties in menus if end - 60 <= at_s < end]
        ratios.append(sum(properties["outcome"] == "failed" for properties in window) / len(window))
    assert any(properties.get("provider") == BROKEN_PROVIDER and properties["outcome"] == "failed" for _, properties in menus)
    return ratios


def test_an_items_home_is_kafkas_own_answer() -> None:
    """The vectors were made with Apache Kafka's client."""
    for key, (_, partition) in TEST_VECTORS.items():
        assert Item("x", "event", key.encode(), b"{}").home == partition


def test_what_was_sent_can_be_read_back(tmp_path: Path) -> None:
    """Bytes, answers and places; also a record without value."""
    ledger = sent()
    ledger.add(Item("chaos-poison-3", "poison", b"chaos-poison-3", None, "no_value"))
    ledger.problems.append("something")
    ledger.dump(tmp_path / "sent.ndjson")
    assert Sent.load(tmp_path / "sent.ndjson") == ledger


def test_a_batch_with_poison_is_one_line_each() -> None:
    """So that a bad one is one rejection; events alone are an array."""
    menu, poison = ITEMS["menu"], ITEMS["poison"]
    body, headers = encode([menu, menu])
    assert orjson.loads(body) == [menu.document(), menu.document()]
    assert headers["Content-Type"] == "application/json"
    body, headers = encode([menu, poison])
    assert body.split(b"\n") == [menu.value, poison.value]
    assert headers["Content-Type"] == "application/x-ndjson"


def test_an_answer_is_noted_copy_by_copy() -> None:
    """Accepted ones are acknowledged, the rejected one keeps why."""
    batch = _batch("menu", "refused", "exposure")
    ids = [ITEMS["menu"].name, ITEMS["exposure"].name]
    answer = {"accepted": 2, "event_ids": ids, "rejected": [{"index": 1, "event_id": None, "errors": [{"field": "", "message": "no"}]}]}
    assert settle(batch, answer) == []
    assert [copy.outcome for _, copy in batch] == ["acked", "rejected", "acked"]
    assert "no" in batch[1][1].answer


def test_an_answer_about_other_ids_is_a_problem() -> None:
    """A gateway that accepts what was not sent, or less than it says, is found out."""
    (problem,) = settle(_batch("menu"), {"accepted": 1, "event_ids": ["another"], "rejected": []})
    assert "another" in problem


def _batch(*names: str) -> list[tuple[Item, Copy]]:
    return [(ITEMS[name], copied(name, "gateway", outcome="unknown")) for name in names]
