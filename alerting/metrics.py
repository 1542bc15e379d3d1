"""The metrics of alerter and notifier, as their /metrics shows them. Labels are bounded: rules, receivers, fixed words."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

FLUSHES = Counter("nutricoach_alerter_flushes_total", "Flushes judged, by whether they could be read.", ["outcome"])
JUDGING_SECONDS = Histogram(
    "nutricoach_alerter_judging_seconds",
    "From a flush being read to everything it led to being on Kafka.",
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
)
TRANSITIONS = Counter("nutricoach_alerter_transitions_total", "Alerts published, by rule and new state.", ["rule", "state"])
OPEN_INCIDENTS = Gauge("nutricoach_alerter_open_incidents", "Incidents that are not over, by rule.", ["rule"])
COMMANDS = Counter(
    "nutricoach_alerter_commands_total", "Commands read, by action and whether they changed anything.", ["action", "outcome"]
)
CONTEXT_SECONDS = Histogram(
    "nutricoach_alerter_context_seconds",
    "How long alerts that fire waited for what ClickHouse knows of the failing events.",
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
READINGS = Counter("nutricoach_alerter_readings_total", "Questions put to ClickHouse, by whether they were answered.", ["outcome"])
HEARTBEAT = Gauge(
    "nutricoach_alerter_heartbeat_timestamp_seconds", "When Kafka last took a heartbeat of this process, unix time; 0 is never."
)
ACTIVE = Gauge("nutricoach_alerting_active", "1 while this process owns the partition and acts, 0 on standby.", ["role"])
DELIVERIES = Counter("nutricoach_notifier_deliveries_total", "Attempts to notify, by receiver and outcome.", ["receiver", "outcome"])
BREAKER_OPEN = Gauge("nutricoach_notifier_breaker_open", "1 while a receiver is left alone because it did not answer.", ["receiver"])
HEARTBEATS = Counter(
    "nutricoach_notifier_heartbeats_total", "Heartbeats of the alerter passed on to the watchdog, by what came of it.", ["outcome"]
)
