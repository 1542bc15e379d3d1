"""What /metrics of the gateway shows. Labels are bounded: status codes and fixed words."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("nutricoach_gateway_requests_total", "Requests to /v1/events by status code.", ["status"])
EVENTS = Counter(
    "nutricoach_gateway_events_total",
    "Events by outcome: accepted, or rejected for a reason; dry runs are not counted.",
    ["outcome", "reason"],
)
VIOLATIONS = Counter(
    "nutricoach_gateway_schema_violations_total",
    "Accepted events that break their schema, of types that are observed or warned; they count in no metric.",
    ["event_type", "mode"],
)
BOT_EVENTS = Counter(
    "nutricoach_gateway_bot_events_total", "Accepted events of bots, once for each reason; they count in no business metric.", ["reason"]
)
BODY_BYTES = Counter("nutricoach_gateway_body_bytes_total", "Bytes of bodies as they were sent.")
DURATION = Histogram(
    "nutricoach_gateway_request_seconds",
    "Time from a request's headers to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
UNACKED_BYTES = Gauge("nutricoach_gateway_unacked_bytes", "Bytes of records that Kafka has not acknowledged.")
