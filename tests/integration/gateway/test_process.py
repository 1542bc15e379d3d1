from __future__ import annotations

import asyncio
import gzip
import json
import signal
import socket
from functools import partial
from pathlib import Path

import pytest
from backports.zstd import compress as zstd_compress

from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.topics_admin import ensure_topics
from tests.contract.gateway.gateways import gateway_on
from tests.contract.gateway.topic import events_topic
from tests.integration.gateway.process import gateway_process
from tests.unit.gateway.bodies import event, json_bytes, numbered_id

#: Without the time, which would be part of the tests' names and differ between the processes that run them.
gzipped = partial(gzip.compress, mtime=0)

NO_KAFKA = "127.0.0.1:1"


async def test_sigterm_finishes_the_requests_that_have_begun(kafka: str, tmp_path: Path) -> None:
    """Half a body is sent when SIGTERM comes: no new connection, the request is answered 202, its event is in the topic, exit 0."""
    await ensure_topics(kafka)
    body = json_bytes(event(event_id=numbered_id(1)))
    async with events_topic(kafka) as topic, gateway_process(kafka, tmp_path) as gateway:
        await gateway.client.ready()
        host, port = gateway.client.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:10])
        await gateway.client.get("/healthz")  # by now the request has begun
        gateway.process.send_signal(signal.SIGTERM)
        await _refuses_connections(host, int(port))
        writer.write(body[10:])
        answer = await asyncio.wait_for(reader.read(), 10)
        assert answer.startswith(b"HTTP/1.1 202 ")
        assert await gateway.exit_status() == 0
        writer.close()
        await writer.wait_closed()
        sent = [json.loads(r.value) for r in await topic.read()]
        assert [one["event_id"] for one in sent if one["event_type"] != "accepted_count"] == [numbered_id(1)]


async def _refuses_connections(host: str, port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except ConnectionError:  # refused, or reset when it was still waiting to be taken
                return
            writer.close()
            await writer.wait_closed()


async def test_sigterm_ends_an_idle_gateway_at_once(tmp_path: Path) -> None:
    """Open keep-alive connections and an absent broker do not hold it up: exit 0 within five seconds."""
    async with gateway_process(NO_KAFKA, tmp_path) as gateway:
        await gateway.client.get("/healthz")
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), 5) == 0


async def test_bombs_cost_little_memory(tmp_path: Path) -> None:
    """Bodies that would unpack to 256 MiB, or parse to millions of objects, several at once: the peak grows by less than 64 MiB."""
    gibibyte = 1 << 30
    bombs = [
        (_gzip_of_blanks(gibibyte // 4), {"Content_Encoding": "gzip"}, 413),
        (zstd_compress(b" " * (gibibyte // 4)), {"Content_Encoding": "zstd"}, 413),
        (_gzip_of_blanks(gibibyte // 4), {}, 413),
        (b"[" + b"[]," * 1_000_000 + b"[]]", {}, 413),
        (b"[" * (4 << 20), {}, 413),
        (b"[" + b"1," * 2_000_000 + b"1]", {}, 413),
        (gzipped(b'[{"a":' + b"[" * 60_000), {"Content_Encoding": "gzip"}, 400),
    ]
    async with gateway_process(NO_KAFKA, tmp_path) as gateway:
        assert (await gateway.client.post(b"[]")).status == 202
        before = gateway.peak_bytes()
        for _ in range(3):
            answers = await asyncio.gather(*(gateway.client.post(body, **headers) for body, headers, _ in bombs))
            assert [a.status for a in answers] == [status for _, _, status in bombs]
        assert gateway.peak_bytes() - before < 64 << 20


def _gzip_of_blanks(size: int) -> bytes:
    return gzipped(b" " * size, compresslevel=9)


async def test_nothing_personal_and_no_secret_is_logged(kafka: str, tmp_path: Path) -> None:
    """Good and bad events, wrong and right keys, and what is no HTTP leave neither bodies nor ids nor keys in the log."""
    await ensure_topics(kafka)
    marker = "Marker7F3A"
    async with gateway_process(kafka, tmp_path, WRITE_KEYS=f"key-{marker}") as gateway:
        client = gateway.client
        await client.ready()
        good = event(user_id=f"user-{marker}", properties=event()["properties"] | {"note": marker})
        assert (await client.post(good, query=f"?key=key-{marker}")).json["accepted"] == 1
        assert (await client.post({**good, "schema_version": marker}, query=f"?key=key-{marker}")).status == 202
        assert (await client.post(marker.encode(), Authorization=f"Bearer key-{marker}")).status == 400
        assert (await client.post(good, query=f"?key=wrong-{marker}")).status == 401
        host, port = client.url.removeprefix("http://").split(":")
        for garbage in (f"{marker}\r\n\r\n", f"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{marker}\r\n"):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(garbage.encode())
            assert b" 400 " in await asyncio.wait_for(reader.read(), 10)
            writer.close()
            await writer.wait_closed()
        gateway.process.send_signal(signal.SIGTERM)
        assert await gateway.exit_status() == 0
        assert marker not in gateway.log
        assert "Traceback" not in gateway.log
        assert "listening" in gateway.log


async def test_a_taken_port_is_one_line_that_says_what_to_do() -> None:
    """The address and the settings to change; nothing else has happened."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}.*TELEMETRY_GATEWAY__PORT"):
            async with gateway_on(NO_KAFKA, port=port):
                pass
