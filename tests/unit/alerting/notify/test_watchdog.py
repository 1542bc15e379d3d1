from __future__ import annotations

import aiohttp
from pydantic import SecretStr

from alerting.engine.identity import digest
from alerting.notify.watchdog import Watchdog
from pipeline.runtime.settings import Receiver as ReceiverSettings
from schemas.decision import Decision, DecisionKind
from schemas.timestamps import from_ms
from tests.receivers.server import Receiver
from tests.receivers.ticket import service
from tests.unit.alerting.notify.office import HandClock, until


def decision(at_ms: int, kind: DecisionKind = "heartbeat") -> Decision:
    return Decision(
        decision_id=digest("watchdog", at_ms),
        rule="watchdog",
        kind=kind,
        at=from_ms(at_ms),
        verdict="false",
        previous=None,
        reason="",
        incident_key=None,
        window_from=None,
        window_to=None,
        judged_to=None,
        terms=(),
        gates=(),
    )


def address_of(receiver: Receiver) -> ReceiverSettings:
    return ReceiverSettings(url=SecretStr(receiver.url + "/ping"))


async def test_fresh_heartbeats_are_passed_on() -> None:
    """Each with its time; what is no heartbeat, or says nothing about now, is not."""
    clock = HandClock()
    async with service() as receiver, aiohttp.ClientSession() as session:
        watchdog = Watchdog(session, address_of(receiver), clock)
        watchdog.heard(decision(clock.ms - 61_000))
        watchdog.heard(decision(clock.ms, "minute"))
        watchdog.heard(decision(clock.ms - 1_000))
        (body,) = await receiver.wait_for(1)
        assert body == {"heartbeat": "1970-01-01T00:16:39.000Z", "decision_id": digest("watchdog", clock.ms - 1_000)}
        assert len(receiver.received) == 1
        await watchdog.close()


async def test_a_watchdog_that_hangs_is_asked_again_and_holds_up_nothing() -> None:
    """Heartbeats that come meanwhile are dropped; the next one after it is passed on."""
    clock = HandClock()
    async with service() as receiver, aiohttp.ClientSession() as session:
        watchdog = Watchdog(session, address_of(receiver), clock)
        receiver.misbehave({"delay_s": 0.2})
        for number in range(5):
            watchdog.heard(decision(clock.ms - number))
        await receiver.wait_for(1)
        assert len(receiver.received) == 1
        await until(lambda: watchdog.is_idle)
        watchdog.heard(decision(clock.ms))
        await receiver.wait_for(2)
        await watchdog.close()


async def test_without_an_address_nothing_happens() -> None:
    """No line in the log every fifteen seconds either."""
    clock = HandClock()
    async with aiohttp.ClientSession() as session:
        watchdog = Watchdog(session, ReceiverSettings(), clock)
        watchdog.heard(decision(clock.ms))
        assert watchdog.is_idle
        await watchdog.close()
