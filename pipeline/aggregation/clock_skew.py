"""Clocks of senders that are wrong: an event that says when it was sent is moved by as much as that differs from when it was received.

Whatever decides is in the record, so that a replay decides alike: `sent_at` in the event, the broker's stamp, and in a record that was
forwarded or replayed the stamp of the first one, in a header.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from schemas.envelope import FIRST_INSTANT
from schemas.timestamps import to_ms

#: Ahead or behind by no more than this a clock is believed: so long a request may be on its way (15 s its body, 5 s Kafka's answer).
BELIEVED_MS: Final = 60_000
#: Of a record that was in the topic before: when that one was received, in ms since 1970, decimal.
FIRST_RECEIVED_AT: Final = "first_received_at"
_MOST_DIGITS: Final = 15
_FIRST_MS: Final = to_ms(FIRST_INSTANT)


def clock_skew_ms(sent_at: datetime, occurred_ms: int, received_ms: int, headers: Sequence[tuple[str, bytes]]) -> int:
    """What to add to the event's own `occurred_ms`: how far the sender's clock is behind, negative when it is ahead; 0 when it is believed.

    Args:
        sent_at: the sender's clock when it sent the event.
        occurred_ms: as the sender said it.
        received_ms: the broker's stamp.
        headers: of the record.
    """
    skew_ms = _first_received_ms(received_ms, headers) - to_ms(sent_at)
    if abs(skew_ms) <= BELIEVED_MS or occurred_ms + skew_ms < _FIRST_MS:  # a time before all times is no better than what was sent
        return 0
    return skew_ms


def with_first_received(headers: Iterable[tuple[str, bytes]], received_ms: int) -> list[tuple[str, bytes]]:
    """Headers for another record of the same event, which say when the first one was received."""
    kept = list(headers)
    if all(name != FIRST_RECEIVED_AT for name, _ in kept):
        kept.append((FIRST_RECEIVED_AT, str(received_ms).encode()))
    return kept


def _first_received_ms(received_ms: int, headers: Sequence[tuple[str, bytes]]) -> int:
    for name, value in headers:
        if name == FIRST_RECEIVED_AT and value.isdigit() and len(value) <= _MOST_DIGITS:
            return int(value)
    return received_ms
