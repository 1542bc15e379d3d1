from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from alerting.engine.identity import digest
from schemas.alert import AlertState
from schemas.delivery import Delivery, DeliveryAction, DeliveryOutcome
from schemas.escalation import Escalation
from tests.chaos.alerting.attack import Sleep
from tests.chaos.alerting.oracle import counters, judge
from tests.chaos.alerting.receivers import Ask
from tests.chaos.alerting.script import HOT, Incident
from tests.chaos.alerting.world import Read, Said, World
from tests.contract.notify.incidents import BASE_MS, an_alert, an_event, key

ALERTER, NOTIFIER, OTHER = "alerter-0.1", "notifier-0.1", "notifier-1.1"
OF_HOST: dict[str, Any] = {"rule": HOT, "labels": {"host": "host-1"}}


def said(offset: int, value: Any, process: str = ALERTER) -> Said[Any]:
    return Said(offset, BASE_MS + 1000 * offset, process, value)


def an_ask(at_s: float, what: str, process: str = NOTIFIER) -> Ask:
    return Ask(BASE_MS + round(1000 * at_s), process, "pagerduty", what, {"dedup_key": key()}, True, "")


def page(target: str, step: int = 0, at_s: float = 53) -> Escalation:
    return an_event("step_due", target=target, step=step, at_s=at_s, **OF_HOST)


def a_delivery(event: Escalation, receiver: str, action: DeliveryAction, outcome: DeliveryOutcome) -> Delivery:
    return Delivery(
        delivery_id=digest(event.escalation_id, receiver),
        incident_key=event.incident_key,
        rule=HOT,
        receiver=receiver,
        action=action,
        step=event.step,
        intent_at=event.at,
        outcome=outcome,
        attempt=1,
        at=event.at,
        http_status=200,
        reason="",
        resent=False,
        message_ref=None if receiver == "pagerduty" else "C0123456789/1.0",
    )


def message(ts: str, text: str, **more: Any) -> dict[str, Any]:
    metadata = {"event_payload": {"incident_key": key(), "receiver": "slack-ops"}}
    return {"ts": ts, "text": text, "metadata": metadata, **more}


def a_world() -> World:
    """One host was hot, two receivers were paged at once and one later, all of them heard of the end."""
    end = an_event("resolved", at_s=150, **OF_HOST)
    pages = [page("slack-ops"), page("pagerduty"), page("slack-lead", 1, 71)]
    escalations = [an_event("opened", **OF_HOST), *pages, end]
    lines = [a_delivery(one, one.target or "", "trigger", "delivered") for one in pages]
    lines += [a_delivery(end, one.target or "", "resolve", "delivered") for one in pages]
    replies = [
        message(f"2.{number}", "a change", thread_ts="1.0", metadata={"event_payload": {"delivery_id": line.delivery_id}})
        for number, line in enumerate(lines)
        if line.receiver != "pagerduty"
    ]
    states: tuple[AlertState, ...] = ("firing", "resolved")
    return World(
        incidents=[Incident(HOT, "host", "host-1", 0, 5, 13)],
        alerts=[said(offset, an_alert(state=state, **OF_HOST)) for offset, state in enumerate(states)],
        escalations=[said(offset, event) for offset, event in enumerate(escalations)],
        deliveries=[said(offset, line, NOTIFIER) for offset, line in enumerate(lines)],
        asks=[an_ask(54, "trigger"), an_ask(151, "resolve")],
        messages=[message("1.0", "HIGH: Host Is Hot is resolved"), *replies],
        reads=[Read(ALERTER, "alerts.v1", 0, BASE_MS), Read(NOTIFIER, "deliveries.v1", 0, BASE_MS)],
    )


def without(world: World, event: str, target: str | None = None) -> None:
    world.escalations = [one for one in world.escalations if (one.value.event, one.value.target) != (event, target)]


def told_again(world: World) -> None:
    again = page("pagerduty").model_copy(update={"escalation_id": digest("another")})
    world.escalations.append(said(9, again))


def step_after_the_acknowledgement(world: World) -> None:
    world.escalations.insert(3, said(2, an_event("acked", at_s=60, **OF_HOST)))


def nobody_heard(world: World) -> None:
    world.acks[key()] = BASE_MS + 60_000
    without(world, "step_due", "slack-lead")


def failed(world: World) -> None:
    world.deliveries[1] = said(
        1, world.deliveries[1].value.model_copy(update={"outcome": "failed_over", "failover": "slack-backup"}), NOTIFIER
    )


def stale(world: World) -> None:
    world.deliveries[0] = said(0, world.deliveries[0].value.model_copy(update={"outcome": "stale"}), NOTIFIER)


def unread(world: World) -> None:
    world.deliveries[2] = replace(world.deliveries[2], process=OTHER)
    world.reads.append(Read(OTHER, "deliveries.v1", 2, BASE_MS + 1000))


def zombie(world: World) -> None:
    world.reads.append(Read(OTHER, "deliveries.v1", 0, BASE_MS + 60_000))
    world.asks[1:1] = [an_ask(70, "acknowledge", OTHER)]


def posted_twice(world: World) -> None:
    world.messages.append(message("3.0", "HIGH: Host Is Hot is resolved"))


def reply_twice(world: World) -> None:
    world.messages.append({**world.messages[1], "ts": "4.0"})


Wrong = Callable[[World], object]
WRONGS: list[tuple[str, Wrong]] = [
    ("A1", lambda world: world.alerts.pop()),
    ("A1", lambda world: world.incidents.pop()),
    ("A1", lambda world: world.alerts.append(said(2, an_alert(state="firing", transition_id=digest("again"), **OF_HOST)))),
    ("A2", lambda world: without(world, "step_due", "pagerduty")),
    ("A2", lambda world: without(world, "step_due", "slack-lead")),
    ("A2", told_again),
    ("A3", step_after_the_acknowledgement),
    ("A3 A2", nobody_heard),
    ("P1", lambda world: world.deliveries.pop(1)),
    ("P1", failed),
    ("P1", stale),
    ("P2", lambda world: world.deliveries.append(replace(world.deliveries[0], offset=9))),
    ("D1", lambda world: world.asks.pop()),
    ("D1", lambda world: world.asks.append(an_ask(160, "trigger"))),
    ("D2", posted_twice),
    ("D2", reply_twice),
    ("D2", lambda world: world.messages.pop()),
    ("D2", lambda world: world.messages[0].update(text="HIGH: Host Is Hot fires")),
    ("Z1", unread),
    ("Z2", zombie),
    ("V", lambda world: world.asks.insert(0, replace(world.asks[0], violations=("no",)))),
    ("L0", lambda world: world.unquiet.append("something moves")),
]


def test_a_world_in_which_all_went_well_is_green() -> None:
    """No law finds anything, and records that say the same again change nothing."""
    world = a_world()
    world.alerts.append(replace(world.alerts[0], offset=2))
    world.escalations.append(replace(world.escalations[0], offset=7))
    assert judge(world).differences == ()
    assert counters(world)["duplicates_absorbed"] == 2


@pytest.mark.parametrize(("law", "wrong"), WRONGS, ids=[f"{law.split()[0]}-{number}" for number, (law, _) in enumerate(WRONGS)])
def test_each_law_finds_what_breaks_it(law: str, wrong: Wrong) -> None:
    """A world that is wrong in one way is red by the law about that, and by those that must see it too, and by no other."""
    world = a_world()
    wrong(world)
    found = {difference.split(" ", 1)[0] for difference in judge(world).differences}
    assert found == set(law.split())


def test_whoever_took_over_by_reading_later_may_act_and_hand_back() -> None:
    """Another process reads the topics and acts; the first one reads them again and acts again: nobody is a zombie."""
    world = a_world()
    world.reads += [Read(OTHER, "deliveries.v1", 0, BASE_MS + 60_000), Read(NOTIFIER, "deliveries.v1", 6, BASE_MS + 80_000)]
    world.asks.insert(1, an_ask(70, "acknowledge", OTHER))
    assert judge(world).differences == ()


def test_who_woke_up_after_another_wrote_is_counted_as_a_zombie() -> None:
    """It slept from second 1 to second 5, somebody else wrote at second 3."""
    world = a_world()
    world.deliveries[3] = replace(world.deliveries[3], process=OTHER)
    world.sleeps = [Sleep(NOTIFIER, BASE_MS + 1000, BASE_MS + 5000), Sleep(NOTIFIER, BASE_MS + 3500, BASE_MS + 5000)]
    assert counters(world)["zombies"] == 1


def test_what_was_on_its_way_when_a_process_fell_asleep_is_no_breach() -> None:
    """It was said before the other one wrote, and lands after that; said afterwards it would be one."""
    world = a_world()
    last = world.deliveries[-1]
    taken_over = Said(last.offset + 1, last.at_ms + 20_000, OTHER, last.value.model_copy(update={"outcome": "retrying"}))
    late = Said(last.offset + 2, last.at_ms + 1, NOTIFIER, taken_over.value)
    world.reads.append(Read(OTHER, "deliveries.v1", last.offset + 1, last.at_ms + 10_000))
    world.deliveries += [taken_over, late]
    assert [line for line in judge(world).differences if line.startswith("Z1")] == []
    world.deliveries[-1] = replace(late, at_ms=taken_over.at_ms + 1)
    assert [line.split(" ")[:2] for line in judge(world).differences if line.startswith("Z1")] == [["Z1", NOTIFIER]]
