"""The numbers of a period by SQL: straight from `events` through the typed views, never from the tables that the worker aggregates into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pipeline.clickhouse.client import Client
from pipeline.demo.board import PERCENTILES, Series
from pipeline.demo.comparison import AlertBySql, Fraction, SqlTotals
from schemas.alert import Alert
from schemas.metrics import METRICS
from schemas.pane import PANE_MS
from schemas.timestamps import to_ms


@dataclass(frozen=True, slots=True)
class Source:
    """Where the events of a metric are: rows, each label as an expression on them, and the value ('' for what is only counted)."""

    rows: str
    labels: dict[str, str]
    value: str = ""


_STATUS_CLASS: Final = "concat(intDiv(status_code, 100), 'xx')"
_RECIPES: Final = (
    "(SELECT event_type, occurred_at FROM telemetry.events WHERE event_type IN ('recipe_view', 'recipe_save', 'recipe_share'))"
)
_RESOURCES: Final = (
    "(SELECT host, occurred_at, arrayJoin([('cpu', cpu_ratio), ('memory', memory_ratio), ('disk', disk_ratio)]) AS used"
    " FROM telemetry.resource_usage)"
)

SOURCES: Final[dict[str, Source]] = {
    "menu_generation": Source("telemetry.menu_generated", {"provider": "ifNull(provider, '')", "outcome": "outcome"}, "generation_time_ms"),
    "provider_attempt": Source("telemetry.provider_attempt", {"provider": "provider", "outcome": "outcome"}, "latency_ms"),
    "api_request": Source(
        "telemetry.api_request",
        {"service": "service", "route": "cutQueryStringAndFragment(route)", "status_class": _STATUS_CLASS},
        "duration_ms",
    ),
    "external_api_call": Source("telemetry.external_api_call", {"api": "api", "status_class": _STATUS_CLASS}, "duration_ms"),
    "feature_performance": Source("telemetry.feature_performance", {"flag": "flag", "variant": "variant"}, "duration_ms"),
    "web_vital": Source("telemetry.web_vital", {"name": "name", "page": "cutQueryStringAndFragment(page)", "rating": "rating"}, "value"),
    "payment": Source("telemetry.payment", {"outcome": "outcome"}),
    "health_check": Source("telemetry.health_check", {"check": "check", "status": "status"}, "latency_ms"),
    "queue_job": Source("telemetry.queue_job", {"queue": "queue", "outcome": "outcome"}, "duration_ms"),
    "recipe_interaction": Source(_RECIPES, {"action": "substring(event_type, 8)"}),
    "feature_exposure": Source("telemetry.feature_exposure", {"flag": "flag", "variant": "variant"}),
    "satisfaction_rating": Source("telemetry.satisfaction_rating", {}, "rating"),
    "nps_response": Source("telemetry.nps_response", {}, "score"),
    "nutrition_accuracy": Source("telemetry.nutrition_accuracy", {"provider": "ifNull(provider, '')"}, "accuracy_score"),
    "resource_usage": Source(_RESOURCES, {"host": "host", "resource": "used.1"}, "used.2"),
    "events": Source("telemetry.events", {"event_type": "event_type", "service": "service"}),
}


def series_sql(metric: str, from_ms: int) -> str:
    """labels, count, sum in millionths, how many had a value, and exact quantiles of each series since `from_ms`."""
    source = SOURCES[metric]
    ranks = ", ".join(f"intDiv({percent} * valued + 99, 100)" for percent in PERCENTILES)
    quantiles = f"arrayMap(rank -> arraySort(groupArray({source.value}))[rank], [{ranks}])" if source.value else "[]"
    valued = f"count({source.value})" if source.value else "0"
    columns = f"{_labels(source)}, {_sums(source)}, {valued} AS valued, {quantiles} AS quantiles"
    return f"SELECT {columns} {_from(source, from_ms)} GROUP BY labels"


def panes_sql(metric: str, from_ms: int) -> str:
    """labels, start_ms, count and sum in millionths of each pane since `from_ms`."""
    source = SOURCES[metric]
    start = f"intDiv(toUnixTimestamp64Milli(occurred_at), {PANE_MS}) * {PANE_MS} AS start_ms"
    return f"SELECT {_labels(source)}, {start}, {_sums(source)} {_from(source, from_ms)} GROUP BY labels, start_ms"


class Warehouse:
    """Asks ClickHouse, as a reader."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def series(self, from_ms: int) -> dict[Series, SqlTotals]:
        """Every series of every metric since `from_ms`."""
        found: dict[Series, SqlTotals] = {}
        for metric in METRICS:
            for row in await self._client.query(series_sql(metric, from_ms)):
                quantiles = dict(zip(PERCENTILES, row["quantiles"], strict=True)) if row["valued"] else {}
                found[Series.of(metric, row["labels"])] = SqlTotals(row["count"], row["sum"], row["valued"], quantiles)
        return found

    async def panes(self, from_ms: int) -> dict[tuple[Series, int], tuple[int, int]]:
        """(events, sum in millionths) of every pane since `from_ms`, by series and start."""
        return {
            (Series.of(metric, row["labels"]), row["start_ms"]): (row["count"], row["sum"])
            for metric in METRICS
            for row in await self._client.query(panes_sql(metric, from_ms))
        }

    async def alert(self, alert: Alert) -> AlertBySql:
        """What the alert's own SQL says, and its window from `events`."""
        numerator = "countIf(outcome = 'failed')" if alert.unit == "ratio" else "sum(generation_time_ms)"
        window = f"occurred_at >= fromUnixTimestamp64Milli({to_ms(alert.window_from)}) AND {_before(to_ms(alert.window_to))}"
        from_events = (
            f"SELECT {numerator} AS numerator, count() AS denominator, numerator / denominator AS value FROM telemetry.menu_generated"
        )
        return AlertBySql(
            await self._fraction(alert.sql), await self._fraction(alert.window_sql), await self._fraction(f"{from_events} WHERE {window}")
        )

    async def has_everything(self, end_offsets: dict[int, int]) -> bool:
        """Whether every record below `end_offsets` has had its effects, repairs of late ones included."""
        progress = await self._client.query("SELECT kafka_partition, position FROM telemetry.partition_progress FINAL")
        positions = {row["kafka_partition"]: row["position"] for row in progress}
        stale = await self._client.query(
            "SELECT hour FROM telemetry.stale_hours GROUP BY kafka_partition, hour HAVING max(marked_offset) > max(cleared_offset)"
        )
        return not stale and all(positions.get(partition, 0) >= end for partition, end in end_offsets.items())

    async def _fraction(self, sql: str) -> Fraction:
        row: dict[str, Any] = (await self._client.query(sql))[0]  # an aggregate without GROUP BY: always one row
        return Fraction(row["numerator"], row["denominator"], row["value"] if row["denominator"] else None)


def _labels(source: Source) -> str:
    pairs = ", ".join(f"'{name}', toString({expression})" for name, expression in source.labels.items())
    return f"CAST(map({pairs}), 'Map(String, String)') AS labels"


def _sums(source: Source) -> str:
    total = f"sum(toInt64(round(ifNull({source.value}, 0) * 1000000)))" if source.value else "toInt64(0)"
    return f"count() AS count, {total} AS sum"


def _from(source: Source, from_ms: int) -> str:
    return f"FROM {source.rows} WHERE occurred_at >= fromUnixTimestamp64Milli({from_ms})"


def _before(ms: int) -> str:
    return f"occurred_at < fromUnixTimestamp64Milli({ms})"
