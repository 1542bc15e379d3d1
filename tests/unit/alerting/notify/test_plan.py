from __future__ import annotations

from alerting.notify.outbox import Sending, delivery_of
from alerting.notify.plan import Plan
from alerting.notify.receiver import Notification
from schemas.delivery import DeliveryOutcome
from schemas.escalation import Escalation
from tests.contract.notify.incidents import escalation_events


def told(plan: Plan, events: list[Escalation]) -> list[tuple[str, str, bool]]:
    return [(due.notification.action, due.notification.receiver, due.stale) for event in events for due in plan.read(event)]


def by_name(name: str) -> list[Escalation]:
    return [event for event in escalation_events() if event.event == name]


def test_an_incident_tells_each_receiver_its_beginning_acknowledgement_and_end() -> None:
    """Pages to the channels, then everybody who was paged hears of the rest."""
    assert told(Plan(), escalation_events()) == [
        ("trigger", "slack-critical", False),
        ("trigger", "pagerduty", False),
        ("acknowledge", "slack-critical", False),
        ("acknowledge", "pagerduty", False),
        ("resolve", "slack-critical", False),
        ("resolve", "pagerduty", False),
    ]


def test_a_repeated_event_asks_for_nothing() -> None:
    """An alerter that died may have published twice."""
    twice = [event for event in escalation_events() for _ in range(2)]
    assert told(Plan(), twice) == told(Plan(), escalation_events())


def test_every_notification_has_its_own_key_that_does_not_change() -> None:
    """The key is the same whoever reads the event."""
    keys = [due.notification.delivery_id for event in escalation_events() for due in Plan().read(event)]
    plans = [Plan(), Plan()]
    first, second = ([due.notification.delivery_id for event in escalation_events() for due in plan.read(event)] for plan in plans)
    assert first == second
    assert len(set(first)) == 6
    assert set(keys) <= set(first)


def test_a_page_after_the_acknowledgement_or_the_end_is_stale() -> None:
    """An alerter that slept through the acknowledgement may still page; its event comes later in the topic and is not sent."""
    step, ack, end = by_name("step_due")[0], by_name("acked")[0], by_name("resolved")[0]
    late = step.model_copy(update={"escalation_id": "e" * 64, "step": 2, "target": "ceo"})
    later = step.model_copy(update={"escalation_id": "d" * 64, "step": 3, "target": "ceo"})
    assert told(Plan(), [step, ack, late, end, later]) == [
        ("trigger", "slack-critical", False),
        ("acknowledge", "slack-critical", False),
        ("trigger", "ceo", True),
        ("resolve", "slack-critical", False),
        ("resolve", "ceo", False),
        ("trigger", "ceo", True),
    ]


def done(notification: Notification, outcome: DeliveryOutcome) -> Plan:
    return Plan([delivery_of(Sending(notification, 0), outcome, 0)])


def test_what_is_done_is_not_done_again_and_what_was_only_intended_is_resent() -> None:
    """A final outcome ends it; an intent without one is sent again under the same key."""
    step = by_name("step_due")[0]
    (first,) = Plan().read(step)
    final: tuple[DeliveryOutcome, ...] = ("delivered", "rejected", "gave_up", "stale")
    for outcome in final:
        assert done(first.notification, outcome).read(step) == []
    unfinished: tuple[DeliveryOutcome, ...] = ("intended", "retrying")
    for outcome in unfinished:
        (again,) = done(first.notification, outcome).read(step)
        assert (again.notification.resent, again.notification.delivery_id) == (True, first.notification.delivery_id)


def test_a_final_outcome_is_not_undone_by_a_later_line() -> None:
    """Two notifiers may both have written; delivered stays delivered."""
    step = by_name("step_due")[0]
    (first,) = Plan().read(step)
    outcomes: tuple[DeliveryOutcome, ...] = ("intended", "delivered", "retrying")
    lines = [delivery_of(Sending(first.notification, 0), outcome, 0) for outcome in outcomes]
    assert Plan(lines).read(step) == []
