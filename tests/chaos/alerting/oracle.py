"""The independent judge of a chaos run of alerting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from tests.chaos.alerting import laws
from tests.chaos.alerting.world import Said, World
from tests.chaos.oracle_report import Report

Law = Callable[[World], Iterator[str]]
LAWS: Final[tuple[Law, ...]] = (
    laws.each_once_on_alerts,
    laws.steps_once,
    laws.acknowledged_is_heard,
    laws.no_page_lost,
    laws.no_duplicate_final,
    laws.one_alert_at_pagerduty,
    laws.one_message_at_slack,
    laws.nobody_writes_unread,
    laws.no_zombie_asks,
    laws.receivers_content,
)


def judge(world: World) -> Report:
    """Every law, and what the run was like."""
    differences = [f"L0 not at rest in time: {line}" for line in world.unquiet]
    for law in LAWS:
        differences += law(world)
    return Report(tuple(differences), counters(world))


def counters(world: World) -> dict[str, int]:
    """Numbers that say what was put up with."""
    outcomes = Counter(said.value.outcome for said in world.deliveries)
    faults = Counter(f"{ask.receiver} {ask.fault}" for ask in world.asks if ask.fault)
    return {
        "incidents": len(world.incidents),
        "acknowledged": len(world.acks),
        "escalations": len(world.escalations),
        "deliveries": len({said.value.delivery_id for said in world.deliveries}),
        "asked": len(world.asks),
        **dict(sorted(faults.items())),
        "retries": outcomes["retrying"],
        "resent": len({said.value.delivery_id for said in world.deliveries if said.value.resent}),
        "failed_over": outcomes["failed_over"],
        "stale": outcomes["stale"],
        "messages": sum(message.get("thread_ts") in (None, message["ts"]) for message in world.messages),
        "replies": sum(message.get("thread_ts") not in (None, message["ts"]) for message in world.messages),
        "duplicates_absorbed": duplicates_absorbed(world),
        "zombies": zombies(world),
    }


def duplicates_absorbed(world: World) -> int:
    """Records that say again what has been said, calls obeyed again under the same key, and changes looked for before they were posted."""
    again = sum(len(ids) - len(set(ids)) for ids in _ids(world))
    asks = Counter(
        (ask.body["dedup_key"], ask.what) for ask in world.asks if ask.receiver == "pagerduty" and ask.done and ask.what == "resolve"
    )
    looks = sum(ask.what.startswith("conversations.") and ask.done for ask in world.asks)
    return again + sum(count - 1 for count in asks.values()) + looks


def zombies(world: World) -> int:
    """How many of those that slept were awake again after another process of their role had written."""
    records: list[Said[object]] = [*world.alerts, *world.escalations, *world.deliveries]  # type: ignore[list-item]
    return sum(
        any(
            _role(said.process) == _role(one.instance) and said.process != one.instance and one.from_ms < said.at_ms <= one.to_ms
            for said in records
        )
        for one in world.sleeps
    )


def _role(instance: str) -> str:
    return instance.split("-", 1)[0]


def _ids(world: World) -> Iterator[list[str]]:
    yield [said.value.transition_id for said in world.alerts]
    yield [said.value.escalation_id for said in world.escalations]
