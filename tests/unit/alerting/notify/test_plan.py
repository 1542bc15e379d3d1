from __future__ import annotations

from alerting.notify.plan import Plan, failover_routes
from alerting.notify.receiver import Attempt, Notification
from alerting.notify.sending import Sending, delivery_of
from schemas.delivery import Delivery, DeliveryOutcome
from schemas.escalation import Escalation
from tests.contract.notify.incidents import a_member, an_event, escalation_events, key


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


def test_a_group_is_told_of_once_and_of_its_end_once() -> None:
    """Fifty incidents: one page lists them; an event that others speak for asks for nothing; the end is the last one's."""
    names = [f"web-{number}" for number in range(50)]
    members = tuple(a_member(name) for name in names)
    opened = [an_event("opened", name, group="web-0") for name in names]
    pages = [
        an_event(
            "step_due", name, target="slack-ops", step=0, group="web-0", members=members if name == "web-0" else (), notify=name == "web-0"
        )
        for name in names
    ]
    ends = [an_event("resolved", name, group="web-0", notify=name == names[-1]) for name in names]
    plan = Plan()
    due = [one.notification for event in (*opened, *pages, *ends) for one in plan.read(event)]
    assert [(one.action, one.receiver, one.group.members_total, one.group.status) for one in due] == [
        ("trigger", "slack-ops", 50, "firing"),
        ("resolve", "slack-ops", 50, "resolved"),
    ]
    assert {one.group.group_key for one in due} == {key("web-0")}
    assert told(plan, [an_event("step_due", "web-3", target="ceo", step=4, group="web-0", members=members)]) == [("trigger", "ceo", True)]


def test_an_acknowledgement_of_one_of_several_is_an_update() -> None:
    """PagerDuty hears of an acknowledgement when somebody works on all of it: it would be deaf to what comes after."""
    opened = [an_event("opened", name, group="a") for name in ("a", "b")]
    page = an_event("step_due", "a", target="pagerduty", step=0, group="a", members=(a_member("a"), a_member("b")))
    of_b, of_a = an_event("acked", "b", group="a"), an_event("acked", "a", group="a")
    assert told(Plan(), [*opened, page, of_b]) == [("trigger", "pagerduty", False), ("update", "pagerduty", False)]
    assert told(Plan(), [*opened, page, of_b, of_a])[-1] == ("acknowledge", "pagerduty", False)
    all_at_once = [of_b.model_copy(update={"notify": False}), of_a]
    assert told(Plan(), [*opened, page, *all_at_once])[1:] == [("acknowledge", "pagerduty", False)]
    joined = an_event("opened", "c", group="a")
    assert told(Plan(), [*opened, page, joined, *all_at_once])[1:] == [("update", "pagerduty", False)]


def test_a_page_about_several_is_stale_only_when_nobody_waits_for_any() -> None:
    """One of two is acknowledged: the other still pages."""
    opened = [an_event("opened", name, group="a") for name in ("a", "b")]
    members = (a_member("a"), a_member("b"))
    page = an_event("step_due", "a", target="slack-ops", step=0, group="a", members=members)
    again = an_event("repeated", "a", target="slack-ops", group="a", members=members)
    half = [*opened, page, an_event("acked", "a", group="a"), again]
    assert told(Plan(), half)[-1] == ("trigger", "slack-ops", False)
    whole = [*opened, page, an_event("acked", "a", group="a"), an_event("resolved", "b", group="a", notify=False), again]
    assert told(Plan(), whole)[-1] == ("trigger", "slack-ops", True)


def test_updates_snoozes_and_withdrawals_are_told_to_who_was_paged() -> None:
    """They ask for an update, with how the group stands after it."""
    page = by_name("step_due")[0]
    events = [
        page,
        an_event("snoozed", until_s=3600, at_s=60),
        an_event("acked", at_s=70),
        an_event("unacked", at_s=80, number=1),
        an_event("updated", at_s=90, number=2),
    ]
    plan = Plan()
    due = [one.notification for event in events for one in plan.read(event)]
    assert [(one.action, one.group.status) for one in due] == [
        ("trigger", "firing"),
        ("update", "snoozed"),
        ("acknowledge", "acknowledged"),
        ("update", "snoozed"),
        ("update", "snoozed"),
    ]
    assert [one.first for one in due] == [True, False, False, False, False]


def failed_over(notification: Notification, to: str) -> Delivery:
    return delivery_of(Sending(notification, 0, 1), "failed_over", 0, failover=to)


def test_a_stand_in_that_was_not_told_yet_is_told_by_the_next_notifier() -> None:
    """Died between the failure and the stand-in's intent: the page is owed to it, and the end, but no acknowledgement of the past."""
    (first,) = Plan().read(by_name("step_due")[0])
    plan = Plan([failed_over(first.notification, "slack-alerts")])
    events = [event for event in escalation_events() if event.target != "pagerduty"]
    due = [one for event in events for one in plan.read(event)]
    of_stand_in = [(one.notification.action, one.owed) for one in due if one.notification.receiver == "slack-alerts"]
    assert of_stand_in == [("trigger", True), ("acknowledge", False), ("resolve", True)]
    assert {one.notification.stands_in_for for one in due if one.notification.receiver == "slack-alerts"} == {"slack-critical"}
    assert ("trigger", "slack-critical") not in [(one.notification.action, one.notification.receiver) for one in due]


def test_a_stand_in_hears_of_the_rest_and_is_not_asked_for_what_somebody_works_on() -> None:
    """Told at the failure, it belongs to those who were paged; after an acknowledgement nobody is told instead."""
    plan = Plan()
    (page,) = plan.read(by_name("step_due")[0])
    instead = plan.stand_in(page.notification, "slack-alerts")
    assert instead is not None
    assert (instead.receiver, instead.stands_in_for, instead.first) == ("slack-alerts", "slack-critical", True)
    further = plan.stand_in(instead, "email-team")
    assert further is not None
    assert further.stands_in_for == "slack-critical"
    assert told(plan, by_name("acked")) == [("acknowledge", name, False) for name in ("slack-critical", "slack-alerts", "email-team")]
    assert plan.stand_in(page.notification, "ceo") is None


def test_whoever_knows_of_what_is_over_does_not_stand_in_for_it_any_more() -> None:
    """PagerDuty was paged and told of the end; a page to Slack that fails only then must not open it at PagerDuty again."""
    plan = Plan()
    pages = [plan.read(event)[0].notification for event in by_name("step_due")]
    told(plan, by_name("resolved"))
    assert [page.receiver for page in pages] == ["slack-critical", "pagerduty"]
    assert plan.stand_in(pages[0], "pagerduty") is None
    assert plan.stand_in(pages[0], "email-team") is not None
    assert plan.stand_in(pages[1], "email-team") is None


def test_failovers_are_followed_in_order_and_never_in_a_loop() -> None:
    """Its own stand-ins first, then theirs; each once."""
    failovers = {"a": ("b", "c"), "b": ("d", "a"), "c": ("b",), "d": ()}
    assert failover_routes(failovers) == {"a": ("a", "b", "c", "d"), "b": ("b", "d", "a", "c"), "c": ("c", "b", "d", "a"), "d": ("d",)}


def test_where_a_message_is_is_known_from_its_deliveries() -> None:
    """The newest reference of the receiver and group goes with what it is told next."""
    page, end = by_name("step_due")[0], by_name("resolved")[0]
    (first,) = Plan().read(page)
    posted = delivery_of(Sending(first.notification, 0, 1), "delivered", 0, Attempt("delivered", 200, message_ref="C0123456789/17.1"))
    plan = Plan([posted])
    assert plan.read(page) == []
    assert [one.notification.message_ref for one in plan.read(end)] == ["C0123456789/17.1"]
