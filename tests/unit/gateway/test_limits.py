from __future__ import annotations

import pytest

from pipeline.gateway import limits
from pipeline.gateway.limits import Budget, RateLimit
from pipeline.runtime.errors import RetryAfter
from schemas.topics import EVENTS


def test_a_budget_refuses_what_goes_beyond_it_and_counts_what_comes_back() -> None:
    """The last byte that fits is taken, one more is not, and room that is given back can be taken again."""
    budget = Budget(100, "on its way")
    budget.take(100)
    with pytest.raises(RetryAfter, match="too much is on its way"):
        budget.take(1)
    budget.give_back(40)
    budget.take(40)
    assert budget.used == 100


def test_a_sender_may_use_its_burst_and_then_its_rate() -> None:
    """100 tokens at once, then 10 a second; one request of 5 events costs 25."""
    rate = RateLimit(tokens_per_s=10, burst=100)
    for _ in range(4):
        assert rate.wait_s("a", now=0.0) == 0
        rate.spend("a", events=5, now=0.0)
    assert rate.wait_s("a", now=0.0) == pytest.approx(0.1)
    assert rate.wait_s("a", now=0.2) == 0
    assert rate.wait_s("b", now=0.0) == 0


def test_a_request_that_overdraws_is_paid_off_before_the_next() -> None:
    """A large request on an almost empty bucket is let in and leaves a debt."""
    rate = RateLimit(tokens_per_s=10, burst=21)
    rate.spend("a", events=0, now=0.0)
    assert rate.wait_s("a", now=0.0) == 0
    rate.spend("a", events=100, now=0.0)
    assert rate.wait_s("a", now=0.0) == pytest.approx(12.0)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    """A day of silence is worth one burst."""
    rate = RateLimit(tokens_per_s=10, burst=50)
    rate.spend("a", events=0, now=0.0)
    rate.spend("a", events=30, now=86_400.0)
    assert rate.wait_s("a", now=86_400.0) > 0


def test_one_publisher_of_batches_is_not_held_up_by_the_defaults() -> None:
    """20,000 events a second in requests of 500 for a minute never wait."""
    rate = RateLimit()
    for i in range(60 * 40):
        now = i / 40
        assert rate.wait_s("publisher", now) == 0
        rate.spend("publisher", events=500, now=now)


def test_the_sender_heard_from_longest_ago_is_forgotten() -> None:
    """Senders that never come back do not fill the memory."""
    rate = RateLimit(tokens_per_s=1, burst=10, max_senders=2)
    for sender in ("a", "b", "a", "c"):
        rate.spend(sender, events=0, now=0.0)
    assert rate.wait_s("b", now=0.0) == 0
    assert rate.wait_s("a", now=0.0) > 0


def test_the_largest_event_fits_the_topic_with_the_longest_key() -> None:
    """What the gateway takes, the broker takes: batch header 61 bytes, record framing below 40, a key of 200 characters of 4 bytes."""
    assert int(EVENTS.config["max.message.bytes"]) >= limits.MAX_EVENT_BYTES + 61 + 40 + 800
