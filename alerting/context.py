"""What can be said of the failing events when an alert fires, found in ClickHouse within a second before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from alerting import metrics
from alerting.context_query import ContextQuery, context_of, context_query
from alerting.engine.rule import Rule
from pipeline.clickhouse.client import Client
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import TelemetryError
from pipeline.runtime.settings import ClickHouse
from schemas.alert import Alert, Context

log = structlog.get_logger(__name__)

#: An alert waits no longer than this for its context.
LONGEST_S: Final = 1.0
#: Events reach ClickHouse after the flush that made the alert: the question is asked again until one that fails is there.
_AGAIN_S: Final = 0.1
#: After an attempt without an answer nobody waits for ClickHouse for so long.
_LEFT_ALONE_S: Final = 15.0
#: Alerts of one moment that are looked at; each question reads a minute or two of events.
_AT_ONCE: Final = 3

_NOT_OF_EVENTS: Final = "the condition is not about single events"
_TOO_MANY: Final = f"more than {_AT_ONCE} alerts fired at once: look for what they share"
_NOT_STORED: Final = "none of the failing events was stored within a second"
_NO_ANSWER: Final = "ClickHouse did not answer within a second"


class ContextFinder:
    """Asks ClickHouse as the reader. Never raises: `Context.note` says what is missing and why."""

    def __init__(self, settings: ClickHouse, clock: Clock) -> None:
        self._client = Client(settings, read_timeout_s=2)
        self._clock = clock
        self._left_alone_until_s = 0.0
        self._why = ""

    async def find(self, rules: Mapping[str, Rule], alerts: list[Alert]) -> dict[str, Context]:
        """By incident_key, of each of `alerts`, within LONGEST_S for all of them together."""
        queries = [context_query(rules[alert.rule], alert) if alert.rule in rules else None for alert in alerts]
        asked = [alert.incident_key for alert, query in zip(alerts, queries, strict=True) if query is not None][:_AT_ONCE]

        async def one(alert: Alert, query: ContextQuery | None) -> Context:
            if query is None:
                return Context(note=_NOT_OF_EVENTS)
            return await self._ask(query) if alert.incident_key in asked else Context(note=_TOO_MANY)

        with metrics.CONTEXT_SECONDS.time():
            found = await asyncio.gather(*(one(alert, query) for alert, query in zip(alerts, queries, strict=True)))
        return {alert.incident_key: context for alert, context in zip(alerts, found, strict=True)}

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def _ask(self, query: ContextQuery) -> Context:
        if self._clock.monotonic() < self._left_alone_until_s:
            return Context(note=self._why)
        answered = False
        try:
            async with asyncio.timeout(LONGEST_S):
                while True:
                    row = await self._row(query)
                    answered = True
                    if row["errors"]:
                        return context_of(row)
                    await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            return Context(note=_NOT_STORED) if answered else self._leave_alone(_NO_ANSWER)
        except TelemetryError as error:
            return self._leave_alone(str(error).split("': ", 1)[-1])  # without the statement

    async def _row(self, query: ContextQuery) -> dict[str, Any]:
        rows = await self._client.query(query.sql, query.parameters)
        return rows[0]

    def _leave_alone(self, why: str) -> Context:
        log.warning("an alert has no context", reason=why)
        self._why, self._left_alone_until_s = why, self._clock.monotonic() + _LEFT_ALONE_S
        return Context(note=why)
