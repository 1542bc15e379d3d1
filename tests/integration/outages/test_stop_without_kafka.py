from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.runtime.producer import STOP_TIMEOUT_S, Message, send_all, start_producer, stop_producer
from pipeline.runtime.topics_admin import ensure_topics
from schemas.topics import EVENTS
from tests.stack_fixtures import embedded_broker

pytestmark = pytest.mark.long


async def test_a_producer_that_can_send_nothing_stops_all_the_same(tmp_path: Path) -> None:
    """A message is on its way when the broker goes: an idempotent one is retried for ever, and would hold up the end of its role."""
    with ExitStack() as broker:
        kafka = broker.enter_context(embedded_broker(tmp_path / "kafka"))
        await ensure_topics(kafka)
        producer = await start_producer(kafka, "test")
        await send_all(producer, [Message(EVENTS.name, b"1", b"k")])
        await asyncio.to_thread(broker.close)
    sending = asyncio.create_task(send_all(producer, [Message(EVENTS.name, b"2", b"k")], timeout_s=60))
    await asyncio.sleep(0)  # it has begun
    began = time.monotonic()
    await stop_producer(producer)
    assert time.monotonic() - began < STOP_TIMEOUT_S + 5
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
