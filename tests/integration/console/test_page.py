from __future__ import annotations

import asyncio

import pytest
from aiokafka.structs import ConsumerRecord

from pipeline.console.incidents import Incidents
from pipeline.runtime.errors import Stop
from pipeline.runtime.topics_admin import ensure_topics
from tests.integration.console.consoles import Client, console, new_alert, publish, settings


async def shows(client: Client, text: str, *, shown: bool = True) -> str:
    """The page, once `text` is on it (or no longer)."""
    async with asyncio.timeout(10):
        while True:
            _, page = await client.get("/")
            if (text in page) is shown:
                return page
            await asyncio.sleep(0.05)


async def test_the_page_follows_the_incidents(kafka: str) -> None:
    """What was open before it started, what opens and ends meanwhile; what cannot be read is skipped."""
    await ensure_topics(kafka)
    before, after = new_alert(), new_alert()
    await publish(kafka, b"\xff garbage", before)
    async with console(settings(kafka)) as client:
        await client.ready()
        status, page = await client.get("/")
        assert (status, before.incident_key[:12] in page) == (200, True)
        await publish(kafka, b"{}", after)
        await shows(client, after.incident_key[:12])
        over = {"transition_id": after.transition_id[::-1]}
        await publish(kafka, before.model_copy(update={"state": "resolved", **over}), after)
        await shows(client, before.incident_key[:12], shown=False)
        assert after.incident_key[:12] in await shows(client, after.incident_key[:12])
        metrics = (await client.get("/metrics"))[1]
        assert "nutricoach_console_open_incidents" in metrics
        assert (await client.get("/nothing"))[0] == 404


async def test_a_lost_thread_is_taken_up_again(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ends with an error, as it does when retention has passed it by: everything is read anew, and nothing is left behind."""
    await ensure_topics(kafka)
    alert, failures = new_alert(), [Stop("the log does not hold that offset any more")]
    fold = Incidents.read

    def read(self: Incidents, record: ConsumerRecord) -> None:
        if failures and alert.incident_key.encode() in (record.value or b""):
            raise failures.pop()
        fold(self, record)

    async with console(settings(kafka)) as client:
        await client.ready()
        monkeypatch.setattr(Incidents, "read", read)
        await publish(kafka, alert)
        assert alert.incident_key[:12] in await shows(client, alert.incident_key[:12])
        assert failures == []
        await client.ready()
    assert asyncio.all_tasks() == {asyncio.current_task()}
