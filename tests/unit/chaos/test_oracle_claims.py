from __future__ import annotations

import uuid

import orjson
import pytest

from tests.chaos.oracle_claims import claims_true, with_claims
from tests.chaos.oracle_world import Record, World
from tests.chaos.sent import Sent

MINUTE = 29_900_000
"""Minutes since 1970, in November 2026."""
AT_MS = MINUTE * 60_000


def marked(offset: int, source: str = "g", ms: int = 0) -> Record:
    return Record(0, offset, AT_MS + ms, b"u-1", b"{}", (("accepted_by", source.encode()),))


def claim(offset: int, count: int, event_id: str | None = None) -> Record:
    properties = {"source": "g", "minute": "2026-11-06T21:20:00.000Z", "count": count, "positions": [9] + [0] * 11}
    event = {"event_id": event_id or str(uuid.uuid4()), "event_type": "accepted_count", "properties": properties}
    return Record(0, offset, AT_MS + 70_000, b"key", orjson.dumps(event))


def lines(log: list[Record], *judged: tuple[str, int, int | None, int | None]) -> list[str]:
    return claims_true(Sent(), World(log=log, accepted_and_stored=judged))


LOG = [marked(0), marked(1, ms=59_999), marked(2, ms=60_000), marked(3, "killed")]
UNTOLD = ("killed", MINUTE, None, None)


def test_a_gateway_that_says_what_the_log_has_is_right() -> None:
    """Two records of the minute, claimed together or in two claims, one of them sent twice; a gateway without a claim is unknown."""
    told = ("g", MINUTE, 2, 0)
    assert lines([*LOG, claim(4, 2)], told, UNTOLD) == []
    twice = claim(4, 1, "0198c0de-7a1b-7c3d-8e4f-00112233aabb")
    assert lines([*LOG, twice, claim(5, 1), Record(0, 6, twice.timestamp_ms, twice.key, twice.value)], told, UNTOLD) == []


@pytest.mark.parametrize(
    ("count", "judged", "found"),
    [
        (3, ("g", MINUTE, 3, 0), 1),
        (2, ("g", MINUTE, 2, 1), 1),
        (2, ("g", MINUTE, 2, None), 1),
        (2, ("killed", MINUTE, 1, 0), 2),
    ],
)
def test_a_wrong_claim_and_a_false_loss_are_found(count: int, judged: tuple[str, int, int | None, int | None], found: int) -> None:
    """A claim beside the log, something missing, a minute not judged, and a number that nobody said."""
    assert len(lines([*LOG, claim(4, count)], judged)) == found


def test_claims_are_taken_from_the_log_as_sent_by_nobody_else() -> None:
    """They are items of the ledger afterwards, and no strangers; an event about accepted events that came over HTTP is none."""
    own = claim(4, 2)
    over_http = Record(0, 5, AT_MS, b"key", claim(5, 7).value, (("accepted_by", b"g"),))
    ledger = with_claims(Sent(), [*LOG, own, over_http])
    assert [item.value for item in ledger.items.values()] == [own.value]
    assert claims_true(ledger, World(log=[*LOG, own], accepted_and_stored=[("g", MINUTE, 2, 0)])) == []
