"""Heartbeats of the alerter, passed on to a service outside that calls people when they stop: a dead man's switch."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import structlog

from alerting.metrics import HEARTBEATS
from alerting.notify.http import post_json
from alerting.notify.webhook import headers_of
from pipeline.runtime.clock import Clock
from pipeline.runtime.settings import Receiver as ReceiverSettings
from schemas.decision import Decision
from schemas.timestamps import isoformat_ms, to_ms

log = structlog.get_logger(__name__)

#: The receiver of routes.yaml that hears them.
WATCHDOG: Final = "watchdog"
#: An older heartbeat says nothing about now.
_FRESH_MS: Final = 60_000


class Watchdog:
    """Posts each heartbeat once, one at a time; one that comes while another is on its way is dropped: the next comes soon."""

    def __init__(self, session: aiohttp.ClientSession, settings: ReceiverSettings, clock: Clock) -> None:
        self._session, self._settings, self._clock = session, settings, clock
        self._sending: asyncio.Task[None] | None = None
        self._works = True

    @property
    def is_idle(self) -> bool:
        """None is on its way."""
        return self._sending is None or self._sending.done()

    def heard(self, decision: Decision) -> None:
        """Pass it on, if it is a heartbeat, and somebody is to hear it."""
        is_late = self._clock.now_ms() - to_ms(decision.at) > _FRESH_MS
        if decision.kind == "heartbeat" and self._settings.url is not None and not is_late and self.is_idle:
            self._sending = asyncio.create_task(self._send(decision, self._settings.url.get_secret_value()), name="watchdog")

    async def close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    async def _send(self, decision: Decision, url: str) -> None:
        body = {"heartbeat": isoformat_ms(decision.at), "decision_id": decision.decision_id}
        attempt = await post_json(self._session, url, body, headers_of(decision.decision_id, self._settings.token))
        works = attempt.outcome == "delivered"
        HEARTBEATS.labels("delivered" if works else "failed").inc()
        if works != self._works:
            say = log.info if works else log.error
            say("the watchdog " + ("hears again" if works else "does not hear the heartbeats"), receiver=WATCHDOG, reason=attempt.reason)
        self._works = works
