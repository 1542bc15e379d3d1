"""Which hours to look into: one aggregate over events and panes, instead of folding every event again.

For each partition and hour two numbers are made of the events and of the panes, modulo 2^64, and must be equal:

    sum over events of  h(pane, metric)           against  sum over panes of  count * h(pane, metric)
    sum over events of  value * h(pane, metric)   against  sum over panes of  sum   * h(pane, metric)

with h = cityHash64, so that no event too many in one place makes up for one too few in another. Labels and buckets are added up: a pane
whose events stand under other labels only is not found here, but by `telemetry reconcile`, which folds everything again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.aggregation.watermark import HOUR_MS
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.repair import COUNTS
from pipeline.clickhouse.state import rows_of
from schemas.metrics import METRICS
from schemas.pane import MILLIONTHS, PANE_MS
from schemas.partitioning import EVENT_PARTITIONS

#: What the catalogue folds an event type into, beside `events`: its metric ('' for none), and a property for each value ('' for none).
#: A type that is missing here, or whose values are not rounded here as they are there, only costs a refold of each of its hours.
FEEDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "menu_generated": ("menu_generation", ("generation_time_ms",)),
    "menu_ready": ("", ()),
    "provider_attempt": ("provider_attempt", ("latency_ms",)),
    "queue_job": ("queue_job", ("duration_ms",)),
    "recipe_view": ("recipe_interaction", ("",)),
    "recipe_save": ("recipe_interaction", ("",)),
    "recipe_share": ("recipe_interaction", ("",)),
    "nutrition_accuracy": ("nutrition_accuracy", ("accuracy_score",)),
    "satisfaction_rating": ("satisfaction_rating", ("rating",)),
    "nps_response": ("nps_response", ("score",)),
    "user_signed_up": ("", ()),
    "onboarding_abandoned": ("", ()),
    "web_vital": ("web_vital", ("value",)),
    "ux_signal": ("", ()),
    "feature_exposure": ("feature_exposure", ("",)),
    "feature_performance": ("feature_performance", ("duration_ms",)),
    "api_request": ("api_request", ("duration_ms",)),
    "external_api_call": ("external_api_call", ("duration_ms",)),
    "payment": ("payment", ("",)),
    "resource_usage": ("resource_usage", ("cpu_ratio", "memory_ratio", "disk_ratio")),
    "db_sample": ("", ()),
    "health_check": ("health_check", ("latency_ms",)),
    "circuit_state_changed": ("", ()),
    "deployment": ("", ()),
    "security_signal": ("", ()),
    "feedback": ("", ()),
    "accepted_count": ("", ()),
}


@dataclass(frozen=True, slots=True)
class Span:
    """Hours [from_ms, to_ms) of one partition, and its events below an offset."""

    from_ms: int
    to_ms: int
    below_offset: int


async def known_hours(client: Client, spans: Mapping[int, Span]) -> dict[int, int]:
    """Hours in which a partition of `spans` has events or panes, ascending, and how many rows of `events_raw` there are."""
    sql = f"""
SELECT hour, sum(n)
FROM
(
    SELECT intDiv(toUnixTimestamp64Milli(occurred_at), {HOUR_MS}) AS hour, count() AS n
    FROM telemetry.events_raw WHERE {_within("kafka_partition", "occurred_at")} GROUP BY hour
    UNION ALL
    SELECT intDiv(toUnixTimestamp64Milli(start), {HOUR_MS}) AS hour, 0 AS n
    FROM telemetry.panes_raw WHERE {_within("source_partition", "start")} GROUP BY hour
)
GROUP BY hour
ORDER BY hour"""
    return {hour * HOUR_MS: n for hour, n in await rows_of(client, sql, _parameters(spans))}


async def differing_hours(client: Client, spans: Mapping[int, Span], received_from_ms: int) -> list[tuple[int, int]]:
    """(partition, hour in ms since 1970) of the hours whose panes are not what the events say.

    Args:
        client: its read time-out must leave a second for each million events of the spans.
        spans: by partition.
        received_from_ms: an hour with a record that was received before this is left out: events of it may be gone.
    """
    of_event = f"transform(event_type, {_array(FEEDS)}, {_array([metric for metric, _ in FEEDS.values()])}, '')"
    own, of_pane = _hash("occurred_at", of_event), _hash("start", "metric")
    events = _within("kafka_partition", "occurred_at")
    sql = f"""
SELECT partition, hour
FROM
(
    SELECT
        kafka_partition AS partition, intDiv(toUnixTimestamp64Milli(occurred_at), {HOUR_MS}) AS hour, min(received_at) AS first_at,
        sum({own} * {_is_seen()} * {_times()} + {_hash("occurred_at", "'events'")}) AS counts,
        sum({own} * {_is_seen()} * ({_sum_of_values()})) AS sums
    FROM telemetry.events_raw FINAL
    WHERE toStartOfHour(sent_at) IN (SELECT toStartOfHour(sent_at) FROM telemetry.events_raw WHERE {events})
        AND {events} AND {COUNTS} AND kafka_offset < {{below:Array(UInt64)}}[kafka_partition + 1]
    GROUP BY partition, hour
    UNION ALL
    SELECT
        source_partition AS partition, intDiv(toUnixTimestamp64Milli(start), {HOUR_MS}) AS hour, min(first_received_at) AS first_at,
        -sum(toInt64(panes_raw.count) * {of_pane}) AS counts, -sum(panes_raw.sum * {of_pane}) AS sums
    FROM telemetry.panes_raw FINAL
    WHERE metric IN {_array(METRICS)} AND {_within("source_partition", "start")}
    GROUP BY partition, hour
)
GROUP BY partition, hour
HAVING (sum(counts) != 0 OR sum(sums) != 0) AND min(first_at) >= fromUnixTimestamp64Milli({{received_from_ms:Int64}}, 'UTC')
ORDER BY hour, partition
SETTINGS max_threads = 1"""
    rows = await rows_of(client, sql, _parameters(spans) | {"received_from_ms": received_from_ms})
    return [(partition, hour * HOUR_MS) for partition, hour in rows]


def _is_seen() -> str:
    """1, or 0 for an event of a bot that its metric takes no notice of."""
    of_services = [event_type for event_type, (metric, _) in FEEDS.items() if metric and METRICS[metric].counts_bots]
    return f"(empty(bot_reasons) OR event_type IN {_array(of_services)})"


def _times() -> str:
    """How many panes of its metric an event is counted in."""
    not_once = {event_type: len(values) for event_type, (_, values) in FEEDS.items() if len(values) != 1}
    return f"transform(event_type, {_array(not_once)}, {list(not_once.values())}, 1)"


def _sum_of_values() -> str:
    """An event's values in millionths, each rounded once. More than one is looked for only in events of a type that has more."""
    first = {event_type: values[0] for event_type, (_, values) in FEEDS.items() if values}
    terms = [_millionths(f"transform(event_type, {_array(first)}, {_array(list(first.values()))}, '')")]
    for event_type, (_, values) in FEEDS.items():
        terms += [f"if(event_type = '{event_type}', {_millionths(repr(value))}, 0)" for value in values[1:]]
    return " + ".join(terms)


def _millionths(key: str) -> str:
    return f"toInt64(round(JSONExtractFloat(properties, {key}) * {MILLIONTHS}))"


def _within(partition: str, instant: str) -> str:
    """The condition that a row belongs to a span. The bounds over all spans come first: indices know only those."""
    ms = f"toUnixTimestamp64Milli({instant})"
    return f"""{partition} IN {{partitions:Array(UInt16)}}
        AND {instant} >= fromUnixTimestamp64Milli({{from_ms:Int64}}, 'UTC') AND {instant} < fromUnixTimestamp64Milli({{to_ms:Int64}}, 'UTC')
        AND {ms} >= {{froms_ms:Array(Int64)}}[{partition} + 1] AND {ms} < {{tos_ms:Array(Int64)}}[{partition} + 1]"""


def _parameters(spans: Mapping[int, Span]) -> dict[str, int | list[int]]:
    none = Span(0, 0, 0)
    all_spans = [spans.get(partition, none) for partition in range(EVENT_PARTITIONS)]
    return {
        "partitions": sorted(spans),
        "from_ms": min(span.from_ms for span in spans.values()),
        "to_ms": max(span.to_ms for span in spans.values()),
        "froms_ms": [span.from_ms for span in all_spans],
        "tos_ms": [span.to_ms for span in all_spans],
        "below": [span.below_offset for span in all_spans],
    }


def _hash(instant: str, metric: str) -> str:
    return f"toInt64(cityHash64(intDiv(toUnixTimestamp64Milli({instant}), {PANE_MS}), toString({metric})))"


def _array(texts: Sequence[str] | Mapping[str, object]) -> str:
    return "[" + ", ".join(f"'{text}'" for text in texts) + "]"
