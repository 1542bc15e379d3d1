"""The SQL in an alert, on the real engine, against the alert's own numbers and against plain Python over the same events."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from alerting.engine.evidence import Judgement
from alerting.engine.judge import Judge
from alerting.engine.rule import parse_rules
from alerting.engine.series import Series
from pipeline.aggregation.catalogue import feeds
from pipeline.aggregation.histogram import bucket_of, millionths
from pipeline.aggregation.paths import path_template
from pipeline.clickhouse.client import Client
from schemas.metrics import METRICS
from schemas.pane import PANE_MS, Flush, Pane
from schemas.timestamps import from_ms
from schemas.web_vitals import rating_of
from tests.integration.clickhouse.rows import DAY_MS, event_row, pane_row, write_events, write_panes

FROM_MS, TO_MS = DAY_MS + 60_000, DAY_MS + 120_000
PARTITIONS = 3
#: Events of a partition beyond this offset had not been read when the alert fired.
LAST_OFFSETS = (400, 380, 0)
ROUTES = (
    "/api/menus/8f3a21c0?tab=2",
    "/api/menus/93ab12ff",
    "https://nutricoach.example/api/recipes/step-2#top",
    "/",
    "/dQw4w9WgXcQ/a_b-c",
)


@dataclass(frozen=True)
class Sent:
    """An event as it lies in Kafka."""

    event_type: str
    at_ms: int
    partition: int
    offset: int
    properties: dict[str, Any]
    is_bot: bool

    @property
    def judged(self) -> bool:
        """In the window, and read by the time of the alert."""
        counts = not self.is_bot or self.event_type in COUNTED_FOR_BOTS
        return counts and FROM_MS <= self.at_ms < TO_MS and self.offset <= LAST_OFFSETS[self.partition]


COUNTED_FOR_BOTS = {
    "provider_attempt",
    "api_request",
    "external_api_call",
    "health_check",
    "queue_job",
    "resource_usage",
    "security_signal",
}


def made_up() -> list[Sent]:
    """Events of every metric with a rule, before, in and after the window, on three partitions."""
    chance = random.Random(6)
    pick = chance.choice
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "menu_generated": lambda: {
            "recipe_count": 1,
            "restrictions": [],
            "generation_time_ms": chance.lognormvariate(8, 1.2),
            "outcome": pick(["full", "full", "degraded", "failed"]),
            **pick([{}, {"provider": "ollama"}, {"provider": "claude"}]),
        },
        "provider_attempt": lambda: {"provider": pick("ab"), "outcome": pick(["success", "error", "timeout", "denied"])},
        "api_request": lambda: {
            "method": "GET",
            "route": pick(ROUTES),
            "status_code": pick([200, 404, 500, 503]),
            "duration_ms": pick([0.0, 1.0, 2.0, chance.uniform(0.1, 5_000)]),
        },
        "external_api_call": lambda: {"api": pick("xy"), "status_code": pick([200, 429, 502]), "duration_ms": 3.5},
        "payment": lambda: {"outcome": pick(["succeeded", "failed"])},
        "health_check": lambda: {"check": pick(["redis", "it's"]), "status": pick(["pass", "fail"]), "latency_ms": 1.0},
        "queue_job": lambda: {
            "queue": "menus",
            "job_id": "j",
            "attempt": 1,
            "outcome": pick(["started", "retried", "completed", "exhausted"]),
        },
        "web_vital": lambda: {"name": pick(["LCP", "CLS"]), "value": pick([0.05, 0.2, 0.5, 2_000.0, 5_000.0]), "page": pick(ROUTES)},
        "feature_exposure": lambda: {"flag": pick(["new-planner", "old"]), "variant": pick("AB")},
        "security_signal": lambda: {"kind": "login_burst"},
        "resource_usage": lambda: {"host": pick(["h1", "h2"]), "cpu_ratio": chance.random(), "memory_ratio": 0.5, "disk_ratio": 0.1},
    }
    sent, offsets = [], [0] * PARTITIONS
    for _ in range(1_200):
        partition, event_type = chance.randrange(PARTITIONS - 1), pick(list(makers))
        offsets[partition] += 1
        at_ms = chance.randrange(FROM_MS - 20_000, TO_MS + 20_000)
        sent.append(
            Sent(event_type, at_ms, partition, offsets[partition], with_rating(event_type, makers[event_type]()), chance.random() < 0.1)
        )
    return sent


def with_rating(event_type: str, properties: dict[str, Any]) -> dict[str, Any]:
    """What a gateway writes down: the rating of a vital by its value."""
    return properties | ({"rating": rating_of(properties["name"], properties["value"])} if event_type == "web_vital" else {})


SENT = made_up()


def flushes(events: list[Sent]) -> list[Flush]:
    """The panes a worker would make of them, one flush a partition."""
    cells: dict[tuple[int, str, tuple[str, ...], int], list[float | None]] = defaultdict(list)
    for event in events:
        whole = {"event_type": event.event_type, "source": {"service": "menu-api"}, "properties": event.properties}
        for metric, labels, value in feeds(whole | ({"bot_reasons": ["crawler"]} if event.is_bot else {})):
            cells[event.partition, metric, labels, event.at_ms // PANE_MS * PANE_MS].append(value)
    panes: dict[int, list[Pane]] = defaultdict(list)
    for (partition, metric, labels, start), values in cells.items():
        known, buckets = [value for value in values if value is not None], defaultdict[int, int](int)
        for value in known:
            buckets[bucket_of(value)] += 1
        panes[partition].append(
            Pane(
                metric=metric,
                labels=dict(zip(METRICS[metric].labels, labels, strict=True)),
                start=from_ms(start),
                count=len(values),
                sum=sum(map(millionths, known)),
                buckets=buckets if METRICS[metric].unit else {},
                last_offset=LAST_OFFSETS[partition],
                version=2 * LAST_OFFSETS[partition],
            )
        )
    return [
        Flush(
            source_partition=partition,
            last_offset=LAST_OFFSETS[partition],
            watermark=from_ms(TO_MS + 20_000),
            caught_up_at=None,
            panes=panes[partition],
        )
        for partition in range(PARTITIONS)
    ]


def judged(condition: str, series: Series) -> Judgement:
    """The window as an alerter sees it that has read up to LAST_OFFSETS."""
    by = [name for name, _ in series]
    (rule,) = parse_rules(f"rules: [{{name: r, condition: '{condition}', by: {by}, channels: [c], severity: low, runbook: x}}]")
    judge = Judge([rule], partitions=PARTITIONS)
    for flush in flushes([event for event in SENT if event.offset <= LAST_OFFSETS[event.partition]]):
        judge.remember(flush, TO_MS + 20_000)
    return judge.look(rule, series, TO_MS, TO_MS)


@pytest.fixture
async def stored(client: Client) -> Client:
    """All events, also those that had not been read; and the panes of those that had."""
    rows = [
        event_row(
            UUID(int=number + 1),
            offset=event.offset,
            partition=event.partition,
            event_type=event.event_type,
            occurred_ms=event.at_ms,
            properties=event.properties,
            bot_reasons=["crawler"] if event.is_bot else [],
        )
        for number, event in enumerate(SENT)
    ]
    broken = event_row(UUID(int=1 << 64), offset=7, event_type="security_signal", occurred_ms=FROM_MS, schema_errors=["kind: missing"])
    await write_events(client, [*rows, broken])
    read = flushes([event for event in SENT if event.offset <= LAST_OFFSETS[event.partition]])
    await write_panes(
        client,
        [
            pane_row(
                pane.metric,
                pane.labels,
                round(pane.start.timestamp() * 1000),
                count=pane.count,
                partition=flush.source_partition,
                total=pane.sum,
                buckets=pane.buckets,
            )
            for flush in read
            for pane in flush.panes
        ],
    )
    return client


def ratio(event_type: str, numerator: Callable[[dict[str, Any]], bool], among: Callable[[dict[str, Any]], bool] = lambda _: True) -> Any:
    counted = [event.properties for event in SENT if event.judged and event.event_type == event_type and among(event.properties)]
    return sum(map(numerator, counted)), len(counted)


def values(event_type: str, name: str, among: Callable[[dict[str, Any]], bool] = lambda _: True) -> list[float]:
    return [e.properties[name] for e in SENT if e.judged and e.event_type == event_type and among(e.properties)]


def failed(properties: dict[str, Any]) -> bool:
    return bool(properties["outcome"] == "failed")


#: Condition, series, and numerator and denominator by hand.
CASES: list[tuple[str, Series, Callable[[], tuple[float, float]]]] = [
    ("error_rate > 5%", (), lambda: ratio("menu_generated", failed)),
    ('error_rate{provider="ollama"} > 5%', (), lambda: ratio("menu_generated", failed, lambda p: p.get("provider") == "ollama")),
    ('error_rate{provider!="ollama"} > 5%', (), lambda: ratio("menu_generated", failed, lambda p: p.get("provider") != "ollama")),
    (
        "full_success_rate < 50%",
        (("provider", ""),),
        lambda: ratio("menu_generated", lambda p: p["outcome"] == "full", lambda p: "provider" not in p),
    ),
    (
        "avg_time > 30s",
        (),
        lambda: (sum(values("menu_generated", "generation_time_ms")), len(values("menu_generated", "generation_time_ms"))),
    ),
    ("menus > 3", (), lambda: (len(values("menu_generated", "outcome")),) * 2),
    (
        "provider_error_rate > 5%",
        (("provider", "a"),),
        lambda: ratio("provider_attempt", lambda p: p["outcome"] != "success", lambda p: p["provider"] == "a"),
    ),
    (
        "api_error_rate > 5%",
        (("route", "/api/menus/:id"), ("service", "menu-api")),
        lambda: ratio("api_request", lambda p: p["status_code"] >= 500, lambda p: path_template(p["route"]) == "/api/menus/:id"),
    ),
    (
        "external_api_error_rate > 5%",
        (("api", "x"),),
        lambda: ratio("external_api_call", lambda p: p["status_code"] == 502, lambda p: p["api"] == "x"),
    ),
    ("payment_failure_rate > 2%", (), lambda: ratio("payment", failed)),
    (
        "health_check_failure_rate > 2%",
        (("check", "it's"),),
        lambda: ratio("health_check", lambda p: p["status"] == "fail", lambda p: p["check"] == "it's"),
    ),
    (
        "queue_exhausted_rate > 2%",
        (("queue", "menus"),),
        lambda: ratio("queue_job", lambda p: p["outcome"] == "exhausted", lambda p: p["outcome"] in ("exhausted", "completed")),
    ),
    (
        "poor_vitals_share > 25%",
        (("name", "LCP"), ("page", "/api/menus/:id")),
        lambda: ratio(
            "web_vital", lambda p: p["value"] > 4_000, lambda p: p["name"] == "LCP" and path_template(p["page"]) == "/api/menus/:id"
        ),
    ),
    ("feature_usage > 3", (("flag", "old"),), lambda: (ratio("feature_exposure", lambda _: True, lambda p: p["flag"] == "old")[1],) * 2),
    (
        "event_count > 3",
        (("event_type", "payment"), ("service", "menu-api")),
        lambda: (len([e for e in SENT if e.event_type == "payment" and replace_bot(e).judged]),) * 2,
    ),
    ("security_signals > 0", (), lambda: (len(values("security_signal", "kind")),) * 2),
    ("absent(error_rate)", (), lambda: (len(values("menu_generated", "outcome")),) * 2),
    (
        "cpu > 80%",
        (("host", "h2"),),
        lambda: (
            sum(round(v, 6) for v in values("resource_usage", "cpu_ratio", lambda p: p["host"] == "h2")),
            len(values("resource_usage", "host", lambda p: p["host"] == "h2")),
        ),
    ),
]


def replace_bot(event: Sent) -> Sent:
    """Events are counted whoever sent them."""
    return Sent(event.event_type, event.at_ms, event.partition, event.offset, event.properties, is_bot=False)


async def test_an_alerts_sql_returns_its_numbers(stored: Client) -> None:
    """Of every kind and selection: from the events that had been read, and from closed panes, what the judge saw and what was sent."""
    for condition, series, by_hand in CASES:
        judgement = judged(condition, series)
        evidence = judgement.evidence[0]
        numerator, denominator = by_hand()
        assert denominator > 5, condition
        assert evidence.numerator == pytest.approx(numerator, rel=1e-9), condition
        assert evidence.denominator == denominator, condition
        for sql in (judgement.sql(evidence), judgement.window_sql(evidence)):
            (row,) = await stored.query(sql)
            assert row["numerator"] == pytest.approx(evidence.numerator, rel=1e-9), sql
            assert row["denominator"] == denominator, sql
            assert row["value"] == pytest.approx(evidence.value, rel=1e-9), sql


@pytest.mark.parametrize(
    ("condition", "series", "sent"),
    [
        ("p95_time > 1s", (), lambda: values("menu_generated", "generation_time_ms")),
        (
            "api_p95_time > 1s",
            (("route", "/api/menus/:id"),),
            lambda: values("api_request", "duration_ms", lambda p: path_template(p["route"]) == "/api/menus/:id"),
        ),
    ],
)
async def test_a_quantiles_sql_returns_the_bucket_of_its_rank(
    stored: Client, condition: str, series: Series, sent: Callable[[], list[float]]
) -> None:
    """The same middle of a bucket from events, from panes and on the board, at most 1.1 % from the value of that rank."""
    judgement = judged(condition, series)
    evidence = judgement.evidence[0]
    exact = float(np.quantile(sent(), 0.95, method="inverted_cdf"))
    assert evidence.value == pytest.approx(exact, rel=0.011)
    for sql in (judgement.sql(evidence), judgement.window_sql(evidence)):
        (row,) = await stored.query(sql)
        assert row["value"] == pytest.approx(evidence.value, rel=1e-9), sql
        assert (row["numerator"], row["denominator"]) == (len(sent()), evidence.denominator), sql


async def test_sql_over_no_events_has_no_value(stored: Client) -> None:
    """A window without events returns zeros, and no value where there is a division."""
    for quantity, value in (("error_rate > 5%", None), ("avg_time > 1s", None), ("p95_time > 1s", None), ("menus > 1", 0)):
        judgement = judged(quantity.replace(" ", '{provider="nobody"} ', 1), ())
        for sql in (judgement.sql(judgement.evidence[0]), judgement.window_sql(judgement.evidence[0])):
            (row,) = await stored.query(sql)
            assert (row["numerator"], row["denominator"], row["value"]) == (0, 0, value), sql


async def test_the_template_of_a_route_is_that_of_the_panes(stored: Client) -> None:
    """Every route that was sent is found again under the label its panes have."""
    for route in {path_template(route) for route in ROUTES}:
        judgement = judged("api_error_rate > 5%", (("route", route),))
        (row,) = await stored.query(judgement.sql(judgement.evidence[0]))
        assert row["denominator"] == judgement.evidence[0].denominator > 0
