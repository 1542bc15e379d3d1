"""What /metrics of the console shows. Labels are bounded: fixed words."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

WEBHOOKS = Counter(
    "nutricoach_console_webhooks_total",
    "Requests to a webhook by outcome: sent (Kafka has the command), ignored, repeated, or the word it was refused with.",
    ["source", "outcome"],
)
OPEN_INCIDENTS = Gauge("nutricoach_console_open_incidents", "Incidents that are open, as the console knows them.")
