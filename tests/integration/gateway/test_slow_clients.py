"""Clients that take their time, a hundred of each kind at once: cut off, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import pytest

from pipeline.gateway import limits
from pipeline.gateway.connections import FIRST_REQUEST_WITHIN_S, SWEEP_EVERY_S
from pipeline.runtime.topics_admin import ensure_topics
from tests.integration.gateway.process import GatewayProcess, gateway_process
from tests.poison.catalogue import document
from tests.poison.report import MAX_DELAY_S, MAX_EXTRA_BYTES, Row, forget_peak, peak_bytes, resident_bytes, show

OF_EACH: Final = 100
CUT_OFF_WITHIN_S: Final = max(FIRST_REQUEST_WITHIN_S, limits.BODY_TIMEOUT_S) + SWEEP_EVERY_S + 5
DRIP_EVERY_S: Final = 1.0
HEAD: Final = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


#: What is sent at once, and what follows byte by byte for ever.
SLOW: Final[dict[str, tuple[bytes, bytes]]] = {
    "silent": (b"", b""),
    "slow headers": (b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"x"),
    "slow request line": (b"POST /v1/events", b"?"),
    "slow body": (HEAD + b"Content-Length: 1000\r\n\r\n[", b" "),
    "slow chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "slow size of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "slow trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\nX-Slow: ", b"x"),
    "half a body": (HEAD + b"Content-Length: 1000\r\n\r\n[", b""),
}


async def _is_cut_off(gateway: GatewayProcess, at_once: bytes, drip: bytes, opening: asyncio.Semaphore) -> bool:
    """Whether the gateway ends a connection like this within the bound."""
    host, port = gateway.client.url.removeprefix("http://").split(":")
    async with opening:
        reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(at_once)
    dripping = asyncio.create_task(_drip(writer, drip))
    try:
        async with asyncio.timeout(CUT_OFF_WITHIN_S):
            await reader.read()
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    finally:
        dripping.cancel()
        writer.transport.abort()
    return True


async def _drip(writer: asyncio.StreamWriter, drip: bytes) -> None:
    while not writer.is_closing():
        writer.write(drip)
        await asyncio.sleep(DRIP_EVERY_S)


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_slow_clients_are_cut_off_and_hold_nobody_up(kafka: str, tmp_path: Path) -> None:
    """800 slow connections: good requests are answered within a second all the while, memory stays, all are closed in time."""
    await ensure_topics(kafka)
    async with gateway_process(kafka, tmp_path) as gateway:
        await gateway.client.ready()
        pid = gateway.process.pid
        before_bytes = resident_bytes(pid)
        forget_peak(pid)
        opening = asyncio.Semaphore(20)  # else this process, which also sends the good ones, would be what is slow
        slow = {kind: [asyncio.create_task(_is_cut_off(gateway, *parts, opening)) for _ in range(OF_EACH)] for kind, parts in SLOW.items()}
        waiting, delays = asyncio.gather(*[task for tasks in slow.values() for task in tasks]), []
        while not waiting.done():
            began_at = time.monotonic()
            answer = await gateway.client.post(document("neighbour"))
            assert answer.status == 202, answer.json
            delays.append(time.monotonic() - began_at)
            await asyncio.sleep(0.05)
        extra_bytes, delay_s = peak_bytes(pid) - before_bytes, max(delays)
        ended = {kind: sum(task.result() for task in tasks) for kind, tasks in slow.items()}
        show("slow clients", [Row(kind, f"{count} of {OF_EACH} cut off", extra_bytes, delay_s) for kind, count in ended.items()])
        assert ended == dict.fromkeys(SLOW, OF_EACH)
        assert delay_s < MAX_DELAY_S
        assert extra_bytes < MAX_EXTRA_BYTES
        assert "Traceback" not in gateway.log
