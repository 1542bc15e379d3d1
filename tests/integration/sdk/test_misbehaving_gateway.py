from __future__ import annotations

import asyncio
import json
import select
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from pipeline.embedded.ports import free_port
from tests.integration.sdk.publishing import publishing_to
from tests.receivers.gateway import Misbehaviour, fake_gateway


def ids(events: list[dict[str, str]]) -> list[str]:
    return [event["event_id"] for event in events]


@pytest.mark.parametrize(
    "misbehaviour",
    [
        Misbehaviour(status=500),
        Misbehaviour(status=503, headers={"Retry-After": "0"}),
        Misbehaviour(status=429),
        Misbehaviour(status=408),
        Misbehaviour(status=502, body="<html>a proxy says no</html>"),
        Misbehaviour(reset=True),
        Misbehaviour(hang_s=2.0),
    ],
)
async def test_what_may_pass_is_tried_again(misbehaviour: Misbehaviour) -> None:
    """The same events, with the same ids and times, are sent until the gateway takes them."""
    async with fake_gateway() as gateway, publishing_to(gateway.url, request_timeout_s=0.5) as telemetry:
        gateway.misbehaviours.extend([misbehaviour] * 2)
        for number in range(5):
            telemetry.menu_ready(menu_id=f"m-{number}")
        assert await asyncio.to_thread(telemetry.flush)
        assert len(gateway.received) == 3
        assert gateway.received[0].events == gateway.received[1].events == gateway.received[2].events
        assert telemetry.stats().sent == 5
        sent_at = [int(request.query["sent_at"]) for request in gateway.received]
        assert sent_at == sorted(set(sent_at))


async def test_a_pause_that_the_gateway_asks_for_is_kept() -> None:
    """After a Retry-After nothing comes earlier, even when somebody waits in flush."""
    async with fake_gateway() as gateway, publishing_to(gateway.url) as telemetry:
        gateway.misbehaviours.append(Misbehaviour(status=429, headers={"Retry-After": "1"}))
        telemetry.menu_ready(menu_id="m")
        assert await asyncio.to_thread(telemetry.flush)
        assert gateway.received[1].at_s - gateway.received[0].at_s >= 1.0


async def test_a_pause_may_end_at_a_date() -> None:
    """Retry-After may be an HTTP date, which has whole seconds."""
    async with fake_gateway() as gateway, publishing_to(gateway.url) as telemetry:
        then = datetime.now(UTC) + timedelta(seconds=2)
        gateway.misbehaviours.append(Misbehaviour(status=503, headers={"Retry-After": format_datetime(then, usegmt=True)}))
        telemetry.menu_ready(menu_id="m")
        assert await asyncio.to_thread(telemetry.flush)
        assert gateway.received[1].at_s - gateway.received[0].at_s >= 0.9


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 415, 307])
async def test_what_is_refused_for_good_is_dropped_and_the_next_is_tried(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """One request, counted under its status and logged with the gateway's words; the next batch gets its own chance."""
    async with fake_gateway() as gateway, publishing_to(gateway.url) as telemetry:
        refusal = json.dumps({"error": "unauthorized", "message": "the write key is not known"})
        gateway.misbehaviours.append(Misbehaviour(status=status, body=refusal, headers={"Location": "https://elsewhere/"}))
        telemetry.menu_ready(menu_id="1")
        assert await asyncio.to_thread(telemetry.flush)
        telemetry.menu_ready(menu_id="2")
        assert await asyncio.to_thread(telemetry.flush)
        assert gateway.statuses() == [status, 202]
        assert telemetry.stats().dropped == {f"http_{status}": 1}
        assert telemetry.stats().sent == 1
        assert f"{status} the write key is not known, at https://elsewhere/" in caplog.text


async def test_one_event_that_makes_a_request_too_large_costs_no_other() -> None:
    """A request that is refused as too large is halved until the one that is to blame stands alone."""
    async with fake_gateway() as gateway, publishing_to(gateway.url, linger_s=0.2) as telemetry:

        async def take_no_m6(request: web.Request) -> web.StreamResponse:
            gateway.always = Misbehaviour(status=413) if b'"m-6"' in await request.read() else None
            return await gateway.handle(request)

        gateway.handler = take_no_m6
        for number in range(8):
            telemetry.menu_ready(menu_id=f"m-{number}")
        assert await asyncio.to_thread(telemetry.flush)
        assert [event["properties"]["menu_id"] for event in gateway.accepted()] == ["m-0", "m-1", "m-2", "m-3", "m-4", "m-5", "m-7"]
        assert (telemetry.stats().sent, telemetry.stats().dropped) == (7, {"http_413": 1})


async def test_rejected_events_are_counted_logged_and_not_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    """Of an answer with rejections and warnings each is counted; the log says which event, which field and why."""
    async with fake_gateway() as gateway, publishing_to(gateway.url, linger_s=0.2) as telemetry:
        errors = [{"field": "properties.rating", "message": "Input should be less than or equal to 5"}]
        rejected = [{"index": 1, "event_id": None, "errors": errors}]
        warnings = [{"index": 0, "event_id": None, "errors": [{"field": "properties.menu_id", "message": "is odd"}]}]
        body = json.dumps({"accepted": 2, "event_ids": [], "rejected": rejected, "warnings": warnings})
        gateway.misbehaviours.append(Misbehaviour(status=202, body=body))
        for rating in (1, 6, 5):
            telemetry.satisfaction_rating(rating=rating)
        assert await asyncio.to_thread(telemetry.flush)
        stats = telemetry.stats()
        assert (stats.sent, stats.rejected, stats.warned, stats.dropped, stats.queued) == (2, 1, 1, {}, 0)
        (sent,) = gateway.received
        (rejection,) = [line for line in caplog.messages if "rejected" in line]
        assert f"satisfaction_rating {sent.events[1]['event_id']}: properties.rating: Input should be" in rejection
        assert any("warned about satisfaction_rating" in line for line in caplog.messages)


async def test_a_gateway_that_is_not_there_yet_loses_nothing() -> None:
    """Connections are refused, the queue fills, and when the gateway comes everything arrives in order, once."""
    port = free_port()
    async with publishing_to(f"http://127.0.0.1:{port}", batch_events=50) as telemetry:
        for number in range(300):
            telemetry.menu_ready(menu_id=str(number))
        assert not await asyncio.to_thread(telemetry.flush, 0.2)
        assert telemetry.stats().queued == 300
        async with fake_gateway(port) as gateway:
            assert await asyncio.to_thread(telemetry.flush)
            assert [event["properties"]["menu_id"] for event in gateway.accepted()] == [str(number) for number in range(300)]
            assert (telemetry.stats().sent, telemetry.stats().dropped) == (300, {})


async def test_beyond_the_queue_what_came_last_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """During an outage the queue keeps its first events; the rest is counted, and the log says that and why."""
    async with fake_gateway() as gateway, publishing_to(gateway.url, queue_events=10) as telemetry:
        gateway.always = Misbehaviour(status=503)
        for number in range(25):
            telemetry.menu_ready(menu_id=str(number))
        await gateway.wait_for(2)
        gateway.always = None
        assert await asyncio.to_thread(telemetry.flush)
        assert [event["properties"]["menu_id"] for event in gateway.accepted()] == [str(number) for number in range(10)]
        assert (telemetry.stats().sent, telemetry.stats().dropped) == (10, {"queue_full": 15})
        assert "does not take events (503" in caplog.text
        assert "15 were dropped" in caplog.text


async def test_a_connection_is_kept_and_opened_again_when_it_was_closed() -> None:
    """Requests share one connection; one that the server has closed meanwhile is replaced without a pause."""
    async with fake_gateway(keepalive_s=0.2) as gateway, publishing_to(gateway.url, backoff_s=30.0, max_backoff_s=30.0) as telemetry:
        for _ in range(3):
            telemetry.menu_ready(menu_id="m")
            assert await asyncio.to_thread(telemetry.flush)
        assert len({request.connection for request in gateway.received}) == 1
        connection = telemetry._sender._transport._connection
        assert connection is not None
        await asyncio.to_thread(select.select, [connection.sock], [], [], 10)  # nothing is owed: what can be read is the end
        telemetry.menu_ready(menu_id="m")
        assert await asyncio.to_thread(telemetry.flush, 5)
        assert gateway.statuses() == [202] * 4
        assert len({request.connection for request in gateway.received}) == 2


async def test_a_request_says_who_sends_and_is_compressed() -> None:
    """The write key, the type and the encoding are in the headers; small requests are not compressed."""
    async with fake_gateway() as gateway, publishing_to(gateway.url, write_key="key-1", linger_s=0.1) as telemetry:
        telemetry.menu_ready(menu_id="m")
        assert await asyncio.to_thread(telemetry.flush)
        for number in range(100):
            telemetry.menu_ready(menu_id=str(number))
        assert await asyncio.to_thread(telemetry.flush)
        small, large = gateway.received
        assert small.headers["Authorization"] == "Bearer key-1"
        assert small.headers["Content-Type"] == "application/x-ndjson"
        assert "Content-Encoding" not in small.headers
        assert large.headers["Content-Encoding"] == "gzip"
        assert int(large.headers["Content-Length"]) < 100 * 100
        assert ids(large.events) == sorted(ids(large.events))


async def test_closing_in_an_outage_is_bounded_and_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """With the gateway hanging, close gives up after its time; what was not taken is counted and logged."""
    async with fake_gateway() as gateway, publishing_to(gateway.url) as telemetry:
        gateway.always = Misbehaviour(hang_s=30)
        for _ in range(3):
            telemetry.menu_ready(menu_id="m")
        await gateway.wait_for(1)
        began_s = time.monotonic()
        await telemetry.aclose(0.3)
        assert 0.25 < time.monotonic() - began_s < 3
        assert telemetry.stats().dropped == {"unsent": 3}
        assert "3 telemetry events could not be sent" in caplog.text
        telemetry.menu_ready(menu_id="late")
        assert telemetry.stats().dropped == {"unsent": 3, "closed": 1}


async def test_closing_makes_one_more_attempt_at_once() -> None:
    """Whoever ends in the middle of a long pause does not wait for its end: the gateway may be back."""
    async with fake_gateway() as gateway, publishing_to(gateway.url, backoff_s=60.0, max_backoff_s=60.0) as telemetry:
        gateway.misbehaviours.append(Misbehaviour(status=503))
        telemetry.menu_ready(menu_id="m")
        await gateway.wait_for(1)
        await telemetry.aclose(5)
        assert gateway.statuses() == [503, 202]
        assert telemetry.stats().sent == 1


async def test_events_of_many_threads_arrive_once_each() -> None:
    """Threads and tasks may share one telemetry: every event arrives, and each thread's in its order."""
    async with fake_gateway() as gateway, publishing_to(gateway.url) as telemetry:

        def publish(thread: int) -> None:
            for number in range(250):
                telemetry.recipe_view(recipe_id=str(number), user_id=f"u-{thread}")

        await asyncio.gather(*(asyncio.to_thread(publish, thread) for thread in range(4)))
        assert await asyncio.to_thread(telemetry.flush)
        accepted = gateway.accepted()
        assert len(set(ids(accepted))) == len(accepted) == telemetry.stats().sent == 1_000
        for thread in range(4):
            mine = [event["properties"]["recipe_id"] for event in accepted if event["user_id"] == f"u-{thread}"]
            assert mine == [str(number) for number in range(250)]
