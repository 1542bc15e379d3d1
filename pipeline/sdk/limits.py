"""How much the SDK keeps and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What the gateway takes of one event.
MAX_EVENT_BYTES: Final = (1 << 20) - (4 << 10)


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit a service; tests and short-lived scripts may want others.

    queue_events, queue_bytes: events that wait or are on their way; one more is dropped and counted as `queue_full`.
    batch_events, batch_bytes: of one request, before compression; the gateway takes 1,000 events, and 1 MiB at any ratio.
    linger_s: the longest an event waits for others to share its request when the gateway answers.
    request_timeout_s: of each wait for the gateway; it answers within 5 s even when Kafka does not.
    backoff_s, max_backoff_s: pauses between attempts are drawn between 0 and backoff_s · 2^n, at most max_backoff_s.
    max_retry_after_s: the longest wait that a server may ask for.
    exit_timeout_s: how long the end of the process may be held up by events that are not sent yet.
    """

    queue_events: int = 10_000
    queue_bytes: int = 32 << 20
    batch_events: int = 500
    batch_bytes: int = 1 << 20
    linger_s: float = 0.25
    request_timeout_s: float = 10.0
    backoff_s: float = 0.5
    max_backoff_s: float = 5.0
    max_retry_after_s: float = 60.0
    exit_timeout_s: float = 5.0
