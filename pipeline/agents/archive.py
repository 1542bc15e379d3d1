"""Copies what the alerting topics say into ClickHouse, where analysts and dashboards find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError

from pipeline.agents import metrics
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import ALERTS_RAW, DECISIONS_RAW, DELIVERIES_RAW, ESCALATIONS_RAW, Table
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.ledger import Chunk
from schemas.alert import parse_alert
from schemas.decision import parse_decision
from schemas.delivery import parse_delivery
from schemas.escalation import parse_escalation
from schemas.topics import ALERTS, DECISIONS, DELIVERIES, ESCALATIONS, Topic

log: Final = structlog.get_logger(__name__)

#: A copy is in no hurry: while ClickHouse is away the topic is read again this often, and a line of the log says so.
RETRY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Archived:
    """A topic and the table its records are copied to; `parse` raises ValidationError for what does not belong there."""

    topic: Topic
    table: Table
    parse: Callable[[bytes], Any]


ARCHIVED: Final = (
    Archived(ALERTS, ALERTS_RAW, parse_alert),
    Archived(ESCALATIONS, ESCALATIONS_RAW, parse_escalation),
    Archived(DELIVERIES, DELIVERIES_RAW, parse_delivery),
    Archived(DECISIONS, DECISIONS_RAW, parse_decision),
)


async def archive(client: Client, archived: Archived, chunk: Chunk) -> None:
    """Write one chunk. Raises RetryAfter while ClickHouse is away; a record that is not ours is left out and logged."""
    values = []
    for record in chunk.records:
        try:
            archived.parse(record.value or b"")
        except ValidationError as error:
            reason = str(error.errors(include_input=False, include_url=False)[0]["msg"])
            log.error("not archived", topic=record.topic, offset=record.offset, reason=reason)
        else:
            values.append(record.value)
    try:
        await insert(client, archived.table, b"\n".join(values), len(values))
    except RetryAfter as away:
        raise RetryAfter(str(away), RETRY_S) from away
    metrics.ARCHIVED.labels(archived.topic.name).inc(len(values))
    chunk.done()
