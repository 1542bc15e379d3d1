"""Follows `decisions.v1` from its end on, for the heartbeats of the alerter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import structlog
from aiokafka.structs import ConsumerRecord
from mode import Service

from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.topic_tail import TopicTail, pages_to_end
from schemas.decision import Decision, parse_decision
from schemas.topics import DECISIONS

log = structlog.get_logger(__name__)


class Heartbeats(Service):
    """`heard` is told of each decision that is one; of those from before this service started nobody is."""

    def __init__(self, bootstrap_servers: str, heard: Callable[[Decision], None], **service: Any) -> None:
        super().__init__(**service)
        self._bootstrap_servers, self._heard = bootstrap_servers, heard

    @Service.task
    async def _follow(self) -> None:
        while not self.should_stop:
            try:
                end = await self._end()
                break
            except RetryAfter as error:
                log.warning("heartbeats cannot be followed yet", error=str(error))
                await self.sleep(error.seconds)
        else:
            return
        tail = TopicTail(self._bootstrap_servers, DECISIONS.name, self._handle, from_offset=end, beacon=self.beacon)
        await self.add_runtime_dependency(tail)

    async def _end(self) -> int:
        async with aclosing(pages_to_end(self._bootstrap_servers, DECISIONS.name)) as pages:
            return (await anext(pages)).end

    async def _handle(self, record: ConsumerRecord) -> None:
        if b'"heartbeat"' not in (record.value or b""):
            return  # most decisions are not, and need not be read
        try:
            decision = parse_decision(record.value or b"")
        except ValueError:
            return  # the archive reports it
        if decision.kind == "heartbeat":
            self._heard(decision)
