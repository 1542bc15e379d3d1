"""The load: seeded events at a steady rate, each sent one to three times, by Kafka and by the gateway, until somebody has each copy."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Final

from pipeline.runtime.clock import Clock, SystemClock
from tests.chaos.sent import Copy, Item, Sent
from tests.chaos.traffic_gateway import GatewayLane
from tests.chaos.traffic_kafka import KafkaLane
from tests.chaos.traffic_script import Script, Sending, incident_of

#: So long after the last event, copies that nobody acknowledged are still sent again.
PATIENCE_S: Final = 60.0
_TICK_S: Final = 0.02


class Traffic:
    """One run over a broker and a gateway that may both die. What becomes of every copy is noted in `sent`."""

    def __init__(
        self,
        sent: Sent,
        seed: int,
        *,
        kafka: str,
        gateway_url: Callable[[], str],
        clock: Clock | None = None,
        events_per_s: float = 400.0,
        gateway_share: float = 0.4,
        with_incident: bool = True,
    ) -> None:
        self._sent, self._seed, self._clock = sent, seed, clock or SystemClock()
        self._events_per_s, self._gateway_share, self._with_incident = events_per_s, gateway_share, with_incident
        self._kafka, self._gateway = KafkaLane(kafka), GatewayLane(gateway_url, sent)
        self._due: list[tuple[float, int, Sending]] = []
        self._scheduled = 0
        self._firsts: dict[str, Copy] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How far it is."""
        copies = self._sent.copies
        return {
            "events": sum(item.what == "event" for item in self._sent.items.values()),
            "copies": len(copies),
            "open": len(self._due) + sum(copy.outcome == "unknown" for copy in copies),
            "resent": sum(max(0, copy.attempts - 1) for copy in copies),
        }

    async def run(self, duration_s: float) -> None:
        """Send for `duration_s`, then until every copy is answered, at most PATIENCE_S longer."""
        lanes = [asyncio.create_task(self._kafka.run()), asyncio.create_task(self._gateway.run())]
        try:
            await self._play(duration_s, lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _play(self, duration_s: float, lanes: list[asyncio.Task[None]]) -> None:
        began_at = self._clock.monotonic()
        self._sent.incident = incident_of(self._clock.now_ms(), duration_s) if self._with_incident else None
        script = Script(self._seed, duration_s=duration_s, gateway_share=self._gateway_share, incident=self._sent.incident)
        made = 0
        while (at_s := self._clock.monotonic() - began_at) < duration_s + PATIENCE_S:
            while made < min(at_s, duration_s) * self._events_per_s:
                for sending in script.next(self._clock.now_ms(), at_s):
                    self._schedule(sending.at_s, sending)
                made += 1
            self._send_due(at_s)
            if at_s >= duration_s and not self._due and all(copy.outcome != "unknown" for copy in self._sent.copies):
                return
            for lane in lanes:
                if lane.done():
                    lane.result()
            await asyncio.sleep(_TICK_S if at_s < duration_s else 10 * _TICK_S)

    def _schedule(self, at_s: float, sending: Sending) -> None:
        self._scheduled += 1
        heapq.heappush(self._due, (at_s, self._scheduled, sending))

    def _send_due(self, at_s: float) -> None:
        while self._due and self._due[0][0] <= at_s:
            sending = heapq.heappop(self._due)[2]
            if sending.after_first and not self._stands(sending.item):
                self._schedule(at_s + 1.0, sending)
                continue
            self._send(sending)

    def _stands(self, conflict: Item) -> bool:
        first = self._firsts.get(conflict.event_id)
        return first is not None and first.outcome == "acked"

    def _send(self, sending: Sending) -> None:
        item = sending.item
        self._sent.add(item)
        copy = self._sent.copy(item, sending.how, sending.partition)
        self._firsts.setdefault(item.name, copy)
        (self._kafka if sending.how == "kafka" else self._gateway).send(item, copy)
