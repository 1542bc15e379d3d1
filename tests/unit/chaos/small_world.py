"""Seven records by hand, and by hand all that a stack must say about them. Owners of keys are Apache Kafka's own answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from tests.chaos.expected import ErrorRate, Histogram, Latency, PaneKey, WindowKey
from tests.chaos.oracle_world import DeadLetterRow, EventRow, Record, World
from tests.chaos.sent import Copy, How, Incident, Item, Sent

TEN = int(datetime.fromisoformat("2026-11-23T10:00:00Z").timestamp()) * 1000
EVENTS = "nutricoach.telemetry.events.v1"
MENU, EXPOSURE, VIEW, REQUEST = (f"0198c0de-7a1b-7c3d-8e4f-00000000000{digit}" for digit in "abcd")
KEY = "c0ffee" + "0" * 58
P50_100_MS, P50_50_MS = 2 ** (212.5 / 32), 2 ** (180.5 / 32)  # 100 ms lies in (2^(212/32), 2^(213/32)], 50 ms an octave below


def event(event_id: str, event_type: str, at: str, service: str, properties: dict[str, Any], **who: str) -> dict[str, Any]:
    source = {"service": service, "environment": "chaos"}
    common = {"event_id": event_id, "event_type": event_type, "schema_version": 1, "occurred_at": f"2026-11-23T{at}", "source": source}
    return common | who | {"properties": properties}


FAILED = {"recipe_count": 1, "restrictions": [], "generation_time_ms": 100.0, "outcome": "failed", "provider": "ollama"}
MENU_EVENT = event(MENU, "menu_generated", "10:00:00.123Z", "menu-api", FAILED, user_id="u-42")
EXPOSURE_EVENT = event(EXPOSURE, "feature_exposure", "10:00:01.000Z", "web", {"flag": "new-planner", "variant": "B"}, session_id="s-7")
VIEW_EVENT = event(VIEW, "recipe_view", "10:00:02.000Z", "web", {"recipe_id": "r-1"}, user_id="21")
ANSWER = {"method": "GET", "route": "/menus?week=4", "status_code": 503, "duration_ms": 50}
REQUEST_EVENT = event(REQUEST, "api_request", "10:20:00.000Z", "menu-api", ANSWER, user_id="u-00042")


def item(document: dict[str, Any], key: str) -> Item:
    return Item(document["event_id"], "event", key.encode(), orjson.dumps(document))


ITEMS = {
    "menu": item(MENU_EVENT, "u-42"),  # partition 1
    "exposure": item(EXPOSURE_EVENT, "s-7"),  # partition 9
    "view": item(VIEW_EVENT, "21"),  # partition 0
    "request": item(REQUEST_EVENT, "u-00042"),  # partition 3
    "conflict": Item(f"{MENU}!", "conflict", b"u-42", orjson.dumps(MENU_EVENT | {"properties": FAILED | {"recipe_count": 2}})),
    "poison": Item("chaos-poison-1", "poison", b"chaos-poison-1", b"\xff", "invalid_utf8"),
    "refused": Item("chaos-poison-2", "poison", b"chaos-poison-2", b"{", "broken_json"),
}


def copied(name: str, how: How, landed: tuple[int, int] | None = None, outcome: Any = "acked") -> Copy:
    return Copy(ITEMS[name].name, how, attempts=1, outcome=outcome, landed=landed)


def sent() -> Sent:
    """What the producer knows."""
    copies = [
        copied("menu", "kafka", (1, 0)),
        copied("conflict", "gateway"),
        copied("exposure", "gateway"),
        copied("exposure", "kafka", (9, 1)),
        copied("view", "kafka", (3, 0)),
        copied("request", "kafka", (3, 1)),
        copied("poison", "kafka", (5, 0)),
        copied("refused", "gateway", outcome="rejected"),
    ]
    return Sent({item.name: item for item in ITEMS.values()}, copies, Incident(TEN, TEN + 12_000))


def record(partition: int, offset: int, name: str, headers: Mapping[str, str] | None = None, *, after_ms: int = 1_000) -> Record:
    texts = tuple((key, value.encode()) for key, value in (headers or {}).items())
    return Record(partition, offset, TEN + after_ms, ITEMS[name].key, ITEMS[name].value, texts)


LOG = (
    record(0, 0, "view", {"moved_from": "3"}, after_ms=4_000),
    record(1, 0, "menu"),
    record(1, 1, "conflict"),
    record(3, 0, "view"),
    record(3, 1, "request", after_ms=5_000),
    record(5, 0, "poison"),
    record(9, 0, "exposure"),
    record(9, 1, "exposure"),
)


def row(document: dict[str, Any], place: tuple[int, int], occurred_ms: int, after_ms: int, *, clamped: bool = False) -> EventRow:
    who = (document["source"]["service"], document.get("user_id", ""), document.get("session_id", ""))
    properties = orjson.dumps(document["properties"]).decode()
    return EventRow(
        document["event_id"], document["event_type"], TEN + occurred_ms, TEN + after_ms, *who, properties, place, time_clamped=clamped
    )


EVENT_ROWS = (
    row(MENU_EVENT, (1, 0), 123, 1_000),
    row(EXPOSURE_EVENT, (9, 0), 1_000, 1_000),
    row(VIEW_EVENT, (0, 0), 2_000, 4_000),
    row(REQUEST_EVENT, (3, 1), 5_000, 5_000, clamped=True),
)


def histogram(value_millionths: int | None = None, bucket: int = 0, count: int = 1) -> Histogram:
    one = Histogram(count, value_millionths or 0)
    if value_millionths is not None:
        one.buckets[bucket] = count
    return one


def pane(metric: str, source: int, content: Histogram, **labels: str) -> tuple[PaneKey, int, Histogram]:
    return (metric, tuple(sorted(labels.items())), TEN), source, content


PANE_ROWS = (
    pane("menu_generation", 1, histogram(100_000_000, 212), provider="ollama", outcome="failed"),
    pane("events", 1, histogram(), event_type="menu_generated", service="menu-api"),
    pane("feature_exposure", 9, histogram(), flag="new-planner", variant="B"),
    pane("events", 9, histogram(), event_type="feature_exposure", service="web"),
    pane("recipe_interaction", 0, histogram(), action="view"),
    pane("events", 0, histogram(), event_type="recipe_view", service="web"),
    pane("api_request", 3, histogram(50_000_000, 180), service="menu-api", route="/menus", status_class="5xx"),
    pane("events", 3, histogram(), event_type="api_request", service="menu-api"),
)


def flush(partition: int, panes: list[tuple[PaneKey, int, Histogram]], version: int) -> bytes:
    documents = [
        {
            "metric": metric,
            "labels": dict(labels),
            "start": "2026-11-23T10:00:00.000Z",
            "count": content.count,
            "sum": content.sum_millionths,
            "buckets": {str(bucket): count for bucket, count in content.buckets.items()},
            "last_offset": version // 2,
            "version": version,
        }
        for (metric, labels, _), _, content in panes
    ]
    return orjson.dumps({"schema_version": 1, "source_partition": partition, "panes": documents})


def flushes() -> list[bytes]:
    """An older snapshot of one pane comes last, as a worker writes it that slept."""
    newest = [flush(partition, [one for one in PANE_ROWS if one[1] == partition], 4) for partition in (0, 1, 3, 9)]
    return [*newest, flush(1, [(PANE_ROWS[0][0], 1, histogram(200_000_000, 212, 2))], 2)]


def windows(value: Any, metric: str, **labels: str) -> list[tuple[WindowKey, Any]]:
    return [((TEN, window_s, metric, tuple(sorted(labels.items()))), value) for window_s in (60, 300)]


def alert(state: str) -> dict[str, Any]:
    since = "2026-11-23T10:00:01.500Z"
    return {"rule": "Menu Generation Critical", "incident_key": KEY, "transition_id": state, "state": state, "since": since}


def world() -> World:
    """A stack that has done everything right."""
    both = [alert("firing"), alert("resolved")]
    ends = {0: 1, 1: 2, 2: 0, 3: 2, 5: 1, 9: 2}
    dlq = [record(0, 0, "poison", dead(5, 0)), record(0, 1, "conflict", dead(1, 1)), record(0, 2, "poison", dead(5, 0))]
    menu_ms, request_ms = Latency(1, 100.0, *[P50_100_MS] * 3), Latency(1, 50.0, *[P50_50_MS] * 3)
    return World(
        log=LOG,
        log_ends=ends,
        committed={partition: end or None for partition, end in ends.items()},
        dlq=dlq,
        flushes=flushes(),
        alerts_log=[orjson.dumps(one) for one in [*both, alert("firing")]],
        events=EVENT_ROWS,
        stored=[(*one.place, one.event_id) for one in EVENT_ROWS],
        dead_letters=[DeadLetterRow((5, 0), "invalid_utf8", "not UTF-8", ""), DeadLetterRow((1, 1), "event_id_conflict", "used", MENU)],
        pane_rows=PANE_ROWS,
        error_rate=[
            *windows(ErrorRate(1, 1), "menu_generation", provider="ollama"),
            *windows(ErrorRate(1, 1), "api_request", service="menu-api", route="/menus"),
        ],
        error_rate_total=[*windows(ErrorRate(1, 1), "menu_generation"), *windows(ErrorRate(1, 1), "api_request")],
        latency=[
            *windows(menu_ms, "menu_generation", provider="ollama", outcome="failed"),
            *windows(request_ms, "api_request", service="menu-api", route="/menus", status_class="5xx"),
        ],
        latency_total=[*windows(menu_ms, "menu_generation"), *windows(request_ms, "api_request")],
        first_exposures=[(("s-7", "new-planner"), ("B", TEN + 1_000))],
        user_days=[((user, TEN // 1_000 - 36_000), True) for user in ("21", "u-42")],
        alerts=both,
        slack=[{"body": {"text": "CRITICAL: Menu Generation Critical fires: error_rate 12 %", "blocks": [{"text": KEY}]}}],
        pagerduty=[{"body": {"event_action": "trigger", "dedup_key": KEY}}, {"body": {"event_action": "resolve", "dedup_key": KEY}}],
    )


def dead(partition: int, offset: int) -> dict[str, str]:
    return {"dlq.topic": EVENTS, "dlq.partition": str(partition), "dlq.offset": str(offset)}
