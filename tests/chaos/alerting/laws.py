"""The laws, each a function from what was read to differences, one line each; the line begins with the name of its law. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from schemas.delivery import FINAL_OUTCOMES
from schemas.escalation import Escalation
from schemas.timestamps import to_ms
from tests.chaos.alerting.config import CHANNELS, LATER
from tests.chaos.alerting.world import Said, World, by, firsts, series_of

#: Between a command on its topic and an alerter that has read it; the machine is busy.
_OBEYED_WITHIN_MS: Final = 5_000
_PAGES: Final = frozenset({"step_due", "repeated", "reassigned"})


def each_once_on_alerts(world: World) -> Iterator[str]:
    """A1: every incident opens once and closes once, in that order; nothing else does."""
    transitions = [said.value for said in firsts(world.alerts, lambda alert: alert.transition_id)]
    alerts = by(transitions, lambda alert: f"{alert.rule} of {series_of(alert)}")
    wanted = {f"{one.rule} of {one.series}" for one in world.incidents}
    for name in sorted(wanted | alerts.keys()):
        states = [alert.state for alert in alerts.get(name, [])]
        if name not in wanted:
            yield f"A1 {name} was well and is on alerts.v1: {states}"
        elif [state for state in states if state != "acknowledged"] != ["firing", "resolved"] or states.count("acknowledged") > 1:
            yield f"A1 {name}: want firing, perhaps acknowledged, resolved; got {states}"
        elif len({alert.incident_key for alert in alerts[name]}) != 1:
            yield f"A1 {name} is more than one incident"


def steps_once(world: World) -> Iterator[str]:
    """A2: of every incident one beginning and one end, every step once for each target, and none that was due is left out."""
    for key, events in by(_distinct(world), lambda said: said.value.incident_key).items():
        names = Counter(said.value.event for said in events)
        if names["opened"] != 1 or names["resolved"] != 1:
            yield f"A2 {key[:12]}: {names['opened']} times opened, {names['resolved']} times resolved"
        steps = Counter((said.value.step, said.value.target) for said in events if said.value.event == "step_due")
        yield from (f"A2 {key[:12]}: step {step} for {target} is due {count} times" for (step, target), count in steps.items() if count > 1)
        for target in CHANNELS:
            if (0, target) not in steps and names["acked"] == 0:
                yield f"A2 {key[:12]}: {target} was never paged"
        if names["acked"] == 0 and (1, LATER) not in steps:
            yield f"A2 {key[:12]}: nobody acknowledged, and {LATER} was never paged"


def acknowledged_is_heard(world: World) -> Iterator[str]:
    """A3: whoever acknowledges is heard: no step comes after that."""
    for key, events in by(_distinct(world), lambda said: said.value.incident_key).items():
        acked = [said.offset for said in events if said.value.event == "acked"]
        asked_ms = world.acks.get(key)
        for said in events:
            if said.value.event != "step_due" or said.value.step == 0:
                continue
            if acked and said.offset > acked[0]:
                yield f"A3 {key[:12]}: step {said.value.step} comes after its acknowledgement"
            elif asked_ms is not None and to_ms(said.value.at) > asked_ms + _OBEYED_WITHIN_MS:
                yield f"A3 {key[:12]}: step {said.value.step} comes {to_ms(said.value.at) - asked_ms} ms after somebody acknowledged"
        over = [to_ms(said.value.at) for said in events if said.value.event == "resolved"]
        if asked_ms is not None and not acked and (not over or asked_ms + _OBEYED_WITHIN_MS < over[0]):
            yield f"A3 {key[:12]}: somebody acknowledged, and nobody took notice"


def no_page_lost(world: World) -> Iterator[str]:
    """P1: every page, and the end of every group that was paged, is delivered, or to a stand-in, or nobody waited for it any more."""
    finals: dict[tuple[str, str], str] = {}
    by_event: dict[tuple[str, int | None, str, str], list[str]] = {}
    for said in world.deliveries:
        one = said.value
        if one.outcome in FINAL_OUTCOMES:
            finals.setdefault((one.delivery_id, one.receiver), one.outcome)
            by_event.setdefault((one.incident_key, one.step, one.receiver, one.action), []).append(one.outcome)
    for (delivery_id, receiver), outcome in finals.items():
        if outcome in {"rejected", "gave_up"}:
            yield f"P1 delivery {delivery_id[:12]} for {receiver}: {outcome}"
    yield from _stale_too_soon(world)
    for said_event in _distinct(world):
        event = said_event.value
        if event.event in _PAGES and event.notify:
            outcomes = by_event.get((event.incident_key, event.step, event.target or "", "trigger"), [])
            if not outcomes:
                yield f"P1 {event.incident_key[:12]}: {event.event} {event.step} for {event.target} was never concluded"
            elif set(outcomes) == {"failed_over"} and not _stood_in(world, event):
                yield f"P1 {event.incident_key[:12]}: {event.target} failed over to nobody who was told"


def _stale_too_soon(world: World) -> Iterator[str]:
    """What is not sent because nobody waits for it must have been acknowledged or over by then; a group's page names one of its members."""
    settled: dict[str, list[int]] = {}
    for said in world.escalations:
        if said.value.event in {"acked", "resolved"}:
            settled.setdefault(said.value.incident_key, []).append(said.at_ms)
    for line in world.deliveries:
        if line.value.outcome == "stale" and not any(at_ms <= line.at_ms for at_ms in settled.get(line.value.incident_key, [])):
            yield f"P1 {line.value.action} of {line.value.incident_key[:12]} for {line.value.receiver} is stale, and somebody waits for it"


def _stood_in(world: World, event: Escalation) -> bool:
    return any(
        said.value.incident_key == event.incident_key
        and said.value.failover == event.target
        and said.value.receiver != event.target
        and said.value.outcome in {"delivered", "stale"}
        for said in world.deliveries
    )


def no_duplicate_final(world: World) -> Iterator[str]:
    """P2: a delivery has one conclusion; a second one would be a second message."""
    finals = Counter((said.value.delivery_id, said.value.receiver) for said in world.deliveries if said.value.outcome in FINAL_OUTCOMES)
    yield from (
        f"P2 delivery {key[:12]} for {receiver} is concluded {count} times" for (key, receiver), count in finals.items() if count > 1
    )


def one_alert_at_pagerduty(world: World) -> Iterator[str]:
    """D1: each key is opened once, is closed at the end, and is not opened again by what comes late."""
    asks = [ask for ask in world.asks if ask.receiver == "pagerduty" and ask.done]
    for key, of_key in by(asks, lambda ask: str(ask.body["dedup_key"])).items():
        actions = [ask.what for ask in of_key]
        if "trigger" in actions and "resolve" not in actions:
            yield f"D1 {key[:12]} stays open at PagerDuty: {actions}"
        elif "resolve" in actions and "trigger" in actions[actions.index("resolve") :]:
            yield f"D1 {key[:12]} is opened again at PagerDuty after its end: {actions}"
    groups = {said.value.group_key or said.value.incident_key for said in world.escalations}
    strangers = {str(ask.body["dedup_key"]) for ask in asks} - groups
    yield from (f"D1 {key[:12]} at PagerDuty is no group" for key in sorted(strangers))


def one_message_at_slack(world: World) -> Iterator[str]:
    """D2: one message for each group and receiver, which says at the end that it is over; every change is once in its thread."""
    top = [message for message in world.messages if message.get("thread_ts") in (None, message["ts"])]
    for name, messages in by(top, _group_and_receiver).items():
        if len(messages) > 1:
            yield f"D2 {name}: {len(messages)} messages at Slack"
        if any("resolved" not in message["text"] for message in messages):
            yield f"D2 {name}: at the end its message says {messages[-1]['text'][:80]!r}"
    replies = Counter(
        message["metadata"]["event_payload"]["delivery_id"]
        for message in world.messages
        if message.get("thread_ts", message["ts"]) != message["ts"]
    )
    yield from (f"D2 change {key[:12]} is {count} times in its thread" for key, count in replies.items() if count > 1)
    delivered = {
        said.value.delivery_id: said.value
        for said in world.deliveries
        if said.value.outcome == "delivered" and said.value.message_ref is not None and said.value.receiver != "pagerduty"
    }
    yield from (
        f"D2 {one.action} of {one.incident_key[:12]} for {one.receiver} is delivered and not in the thread"
        for key, one in delivered.items()
        if key not in replies
    )


def nobody_writes_unread(world: World) -> Iterator[str]:
    """Z1: whoever writes has read what others wrote before: a process that slept does not go on from what it knew.

    What had passed the fence and was on its way when it fell asleep lands later, with its time from before (decision 0012).
    """
    yield from _unread(world, "alerts.v1", world.alerts)
    yield from _unread(world, "escalations.v1", world.escalations)
    yield from _unread(world, "deliveries.v1", world.deliveries)


def _unread(world: World, topic: str, records: Sequence[Said[Any]]) -> Iterator[str]:
    reads = by((one for one in world.reads if one.topic == topic), lambda one: one.process)
    for number, said in enumerate(records):
        before = [one.offset for one in records[:number] if one.process != said.process and one.at_ms <= said.at_ms]
        if before and not any(before[-1] < one.offset <= said.offset for one in reads.get(said.process, [])):
            yield f"Z1 {said.process} writes {topic} {said.offset} and has not read {before[-1]}, which is another's"


def no_zombie_asks(world: World) -> Iterator[str]:
    """Z2: nobody asks a receiver for something after another one, which read the topics later, has taken over."""
    loads = [(read.at_ms, read.process) for read in world.reads if read.topic == "deliveries.v1"]
    acts = [(ask.at_ms, ask.process) for ask in world.asks if ask.writes]
    loaded: dict[str, int] = {}
    newest = 0
    owner = ""
    for at_ms, is_act, process in sorted([(at, False, who) for at, who in loads] + [(at, True, who) for at, who in acts]):
        if not is_act:
            loaded[process] = at_ms
        elif loaded.get(process, 0) >= newest:
            newest, owner = loaded.get(process, 0), process
        elif process != owner:
            yield f"Z2 {process} asks a receiver at {at_ms}, after {owner} had taken over"


def receivers_content(world: World) -> Iterator[str]:
    """V: nothing that a receiver would refuse."""
    yield from dict.fromkeys(f"V {ask.receiver}: {violation}" for ask in world.asks for violation in ask.violations)


def _group_and_receiver(message: dict[str, object]) -> str:
    metadata = message.get("metadata")
    payload = metadata["event_payload"] if isinstance(metadata, dict) else {}
    return f"{str(payload.get('incident_key'))[:12]} for {payload.get('receiver')}"


def _distinct(world: World) -> list[Said[Escalation]]:
    return firsts(world.escalations, lambda event: event.escalation_id)
