from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from statistics import mean
from uuid import UUID

from schemas.event import EVENT_TYPES, decode
from schemas.metrics import METRICS
from schemas.timestamps import to_ms
from tests.bench.events import Reckoning, Spec, events

START_MS = 1_764_000_000_000


def test_the_same_seed_makes_the_same_bytes_and_another_makes_other_ids() -> None:
    """A spec names its events completely."""
    first, again = (list(events(Spec(500, START_MS))) for _ in range(2))
    assert first == again
    ids = {json.loads(made.value)["event_id"] for made in first}
    other_ids = {json.loads(made.value)["event_id"] for made in events(Spec(500, START_MS, seed=5))}
    assert len(ids) == 500
    assert ids.isdisjoint(other_ids)


def test_events_are_about_345_bytes_long() -> None:
    """The mean length is within three per cent of what published figures are for."""
    assert abs(mean(len(made.value) for made in events(Spec(5_000, START_MS))) - 345) < 0.03 * 345


def test_every_event_is_valid_and_the_mix_is_as_told() -> None:
    """The product's own decoder takes all of them; shares are those of the docstring."""
    decoded = decode([made.value for made in events(Spec(20_000, START_MS))])
    assert not decoded.bad
    counts = Counter(str(event["event_type"]) for event in decoded.events if event is not None)
    shares = {event_type: round(100 * count / 20_000) for event_type, count in counts.items()}
    told = {"api_request": 45, "web_vital": 25, "recipe_view": 15, "menu_generated": 10, "feature_exposure": 5}
    assert all(abs(shares[event_type] - share) <= 1 for event_type, share in told.items())


def test_ids_are_version_7_and_carry_the_time_of_the_event() -> None:
    """What the product's publishers make, not just any 36 characters."""
    for made in events(Spec(200, START_MS)):
        event = json.loads(made.value)
        event_id = UUID(event["event_id"])
        (decoded,) = decode([made.value]).events
        assert decoded is not None
        assert (event_id.version, event_id.variant) == (7, "specified in RFC 4122")
        assert event_id.int >> 80 == to_ms(decoded["occurred_at"])


def test_a_partition_belongs_to_the_user_and_time_runs_at_the_rate_told() -> None:
    """One user, one partition; the last event is count / per_s after the first, less up to 1.5 s."""
    made = list(events(Spec(20_000, START_MS, users=10)))
    users = {event.key: event.partition for event in made}
    assert len(users) == 10
    assert all(users[event.key] == event.partition for event in made)
    assert {json.loads(event.value)["user_id"].encode() for event in made} == set(users)
    times = [to_ms(event["occurred_at"]) for event in decode([event.value for event in made]).events if event is not None]
    assert START_MS - 1_500 <= min(times) <= START_MS
    assert START_MS + 2_000 - 1_600 <= max(times) <= START_MS + 2_000
    assert min(later - earlier for earlier, later in pairwise(times)) >= -1_500


def test_the_reckoning_agrees_with_a_count_of_the_finished_events() -> None:
    """What was counted on the way equals what a reader of the JSON counts: events per type and pane, and the sums."""
    reckoning = Reckoning()
    made = [json.loads(event.value) for event in events(Spec(3_000, START_MS), reckoning)]
    per_type: Counter[tuple[str, str]] = Counter((event["event_type"], event["occurred_at"][:18]) for event in made)
    assert reckoning.events == 3_000
    assert sorted(reckoning.per_type().values()) == sorted(per_type.values())
    panes = reckoning.panes()
    assert sum(count for (metric, _, _), (count, _) in panes.items() if metric == "events") == 3_000
    durations = sum(event["properties"]["duration_ms"] for event in made if event["event_type"] == "api_request")
    assert sum(total for (metric, _, _), (_, total) in panes.items() if metric == "api_request") == round(durations * 1_000_000)
    checkout = [event for event in made if event["event_type"] == "feature_exposure" and event["properties"]["variant"] == "A"]
    exposed = sum(count for (metric, labels, _), (count, _) in panes.items() if metric == "feature_exposure" and labels[1] == "A")
    assert exposed == len(checkout)


def test_the_other_mix_feeds_every_metric() -> None:
    """All event types that others send, valid, and every metric of the catalogue among what was counted."""
    reckoning = Reckoning()
    decoded = decode([made.value for made in events(Spec(20_000, START_MS, mix="catalogue"), reckoning)])
    assert not decoded.bad
    assert {event["event_type"] for event in decoded.events if event is not None} == set(EVENT_TYPES) - {"accepted_count"}
    assert {metric for metric, _, _ in reckoning.panes()} == set(METRICS)
