from __future__ import annotations

from uuid import UUID

import pytest

from pipeline.gateway.acceptance import MINUTE_MS, OVER_AFTER_S, Acceptance, Claim
from schemas.event import BadEvent, decode_one

MINUTE = 1_800_000_000_000 // MINUTE_MS * MINUTE_MS
AT = 1_000.0
"""Monotonic seconds of the first acknowledgement."""


def counts(claims: list[Claim]) -> list[tuple[int, int]]:
    return [(claim.minute_ms, claim.count) for claim in claims]


def test_a_minute_is_claimed_once_when_nothing_can_be_added_to_it() -> None:
    """Not before a minute and the difference between brokers' clocks have passed since its first record; then once."""
    acceptance = Acceptance("g")
    acceptance.acknowledged(3, 100, 5, MINUTE + 59_999, AT)
    acceptance.acknowledged(4, 7, 1, MINUTE, AT + 1)
    acceptance.acknowledged(3, 105, 2, MINUTE + MINUTE_MS, AT + 2)
    assert acceptance.claims(AT + OVER_AFTER_S - 0.1) == []
    (claim,) = acceptance.claims(AT + OVER_AFTER_S)
    assert (claim.source, claim.minute_ms, claim.count) == ("g", MINUTE, 6)
    assert claim.positions == (0, 0, 0, 105, 8, 0, 0, 0, 0, 0, 0, 0)
    assert acceptance.claims(AT + OVER_AFTER_S) == []


def test_a_batch_that_is_still_on_its_way_keeps_its_minutes_open() -> None:
    """It may be stamped in any minute since it was sent."""
    acceptance = Acceptance("g")
    acceptance.acknowledged(0, 0, 1, MINUTE, AT)
    sent_at = AT + OVER_AFTER_S - 1
    assert acceptance.claims(unanswered_since=sent_at) == []
    acceptance.acknowledged(0, 1, 1, MINUTE + 1, AT + 500)
    assert counts(acceptance.claims(AT + 500)) == [(MINUTE, 2)]


def test_what_comes_after_a_claim_is_claimed_as_well() -> None:
    """A broker whose clock is behind by more than is allowed for: the two claims add up, and are different events."""
    acceptance = Acceptance("g")
    acceptance.acknowledged(0, 0, 1, MINUTE, AT)
    (first,) = acceptance.claims(AT + OVER_AFTER_S)
    acceptance.acknowledged(1, 0, 2, MINUTE + 59_000, AT + 100)
    (second,) = acceptance.claims()
    assert counts([first, second]) == [(MINUTE, 1), (MINUTE, 2)]
    assert first.event_id != second.event_id


def test_minutes_of_a_batch_that_may_be_there_are_never_claimed() -> None:
    """Its answer will not come: minutes that were over when it was sent are claimed, the others are unknown for ever."""
    acceptance = Acceptance("g")
    acceptance.acknowledged(0, 0, 1, MINUTE, AT)
    acceptance.acknowledged(0, 1, 1, MINUTE + MINUTE_MS, AT + 60)
    acceptance.lost_track(AT + 70)
    acceptance.lost_track(AT + 90)
    assert counts(acceptance.claims()) == [(MINUTE, 1)]
    assert acceptance.claims(AT + 10_000) == []


def test_at_the_end_every_minute_is_over() -> None:
    """Nothing more will be sent, and nothing is on its way."""
    acceptance = Acceptance("g")
    acceptance.acknowledged(0, 1, 2, MINUTE + MINUTE_MS, AT)
    acceptance.acknowledged(0, 0, 1, MINUTE, AT)
    assert counts(acceptance.claims()) == [(MINUTE, 1), (MINUTE + MINUTE_MS, 2)]


def test_a_claim_is_always_the_same_event() -> None:
    """Sent again it is a repeat: id and bytes do not change, and it is an event like all others."""
    claim = Claim("0198c0de-7a1b-7c3d-8e4f-00112233aabb", 1, MINUTE, 12, (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9))
    assert claim.value() == claim.value()
    assert UUID(claim.event_id).version == 5
    others = [Claim("g", 1, MINUTE, 12, ()), Claim(claim.source, 2, MINUTE, 12, ()), Claim(claim.source, 1, MINUTE + MINUTE_MS, 12, ())]
    assert len({claim.event_id, *(other.event_id for other in others)}) == 4
    decoded = decode_one(claim.value())
    assert not isinstance(decoded, BadEvent), decoded
    properties = {"source": claim.source, "minute": "2027-01-15T08:00:00.000Z", "count": 12, "positions": [1, *[0] * 10, 9]}
    assert decoded[0]["properties"] == properties
    assert int(decoded[0]["occurred_at"].timestamp() * 1000) == MINUTE


@pytest.mark.parametrize("stamp_ms", [MINUTE, MINUTE + 1, MINUTE + 59_999])
def test_a_minute_is_that_of_the_broker_s_stamp(stamp_ms: int) -> None:
    """From its first millisecond to its last, whatever our own clock says."""
    acceptance = Acceptance("g")
    acceptance.acknowledged(0, 0, 1, stamp_ms, AT)
    assert counts(acceptance.claims()) == [(MINUTE, 1)]
