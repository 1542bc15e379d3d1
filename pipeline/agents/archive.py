"""Copies what the alerting topics say into ClickHouse, where analysts and dashboards find it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from pydantic import BaseModel, ValidationError

from pipeline.agents import metrics as agent_metrics
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.tables import ALERTS_RAW, DECISIONS_RAW, DELIVERIES_RAW, ESCALATIONS_RAW, Table
from pipeline.runtime import metrics
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter
from pipeline.runtime.ledger import Chunk
from pipeline.runtime.producer import Message
from pipeline.runtime.unreadable import letter_message, unreadable_letter
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
    parse: Callable[[bytes], BaseModel]


ARCHIVED: Final = (
    Archived(ALERTS, ALERTS_RAW, parse_alert),
    Archived(ESCALATIONS, ESCALATIONS_RAW, parse_escalation),
    Archived(DELIVERIES, DELIVERIES_RAW, parse_delivery),
    Archived(DECISIONS, DECISIONS_RAW, parse_decision),
)

Send = Callable[[Sequence[Message]], Awaitable[None]]


async def archive(client: Client, archived: Archived, chunk: Chunk, send: Send, clock: Clock) -> None:
    """Write one chunk; what does not belong on the topic goes to `dlq.v1` by `send`, once its neighbours are stored.

    What is stored is what was understood, in the form in which this version writes it: a record that says the same in a form that only
    a lenient reader takes ("5" for 5) must not be refused by ClickHouse.

    Raises:
        RetryAfter: ClickHouse is away; call again with the same chunk.
    """
    values, letters = [], []
    for record in chunk.records:
        try:
            values.append(archived.parse(record.value or b"").model_dump_json().encode())
        except ValidationError as error:
            metrics.UNREADABLE.labels(record.topic).inc()
            letter = unreadable_letter(record, error, clock.now_ms())
            log.error("not archived", topic=record.topic, offset=record.offset, reason=letter.reason)
            letters.append(letter_message(letter))
    try:
        await insert(client, archived.table, b"\n".join(values), len(values))
    except RetryAfter as away:
        raise RetryAfter(str(away), RETRY_S) from away
    await send(letters)
    agent_metrics.ARCHIVED.labels(archived.topic.name).inc(len(values))
    chunk.done()
