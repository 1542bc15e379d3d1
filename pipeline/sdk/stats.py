"""What became of the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """Numbers of events since the process began, or was forked; every event is in exactly one of the first four.

    queued: waiting or on their way. sent: taken by the gateway, `warned` of them with a complaint. rejected: refused by the gateway for
    what they say. dropped, by reason:
    `queue_full`   there was no room: the gateway was away or too slow for too long; what was queued before is kept
    `invalid`      no JSON can be made of it, or `occurred_at` has no time zone
    `too_large`    longer than the gateway takes
    `http_<code>`  the gateway refused the whole request for good, such as 401 for a wrong write key
    `unsent`       still queued when `close` or the end of the process had no more time
    `closed`       came after `close`
    `failed`       the SDK itself failed; its log says how
    """

    queued: int
    sent: int
    warned: int
    rejected: int
    dropped: Mapping[str, int]
