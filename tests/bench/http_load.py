"""Requests to one server over kept-alive connections, each with one request at a time: as little client as that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"


class Request(NamedTuple):
    """A whole request as it goes over the wire, and the events in it."""

    wire: bytes
    events: int


class Answer(NamedTuple):
    """`began_s` monotonic, when the request was sent; `wait_ms` from then to the last byte of the answer."""

    began_s: float
    wait_ms: float
    events: int


@dataclass(slots=True)
class Load:
    """What to send in turn, and what came back; `stop` ends each connection after the answer it waits for."""

    requests: Iterator[Request]
    answers: list[Answer] = field(default_factory=list)
    stop: bool = False


def post(host: str, path: str, body: bytes, events: int, content_type: str, encoding: str = "") -> Request:
    """A POST as bytes."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    if encoding:
        lines.append(f"Content-Encoding: {encoding}")
    return Request("\r\n".join([*lines, "", ""]).encode() + body, events)


async def drive(host: str, port: int, load: Load, connections: int) -> None:
    """Send from `connections` at once until told to stop; returns when every request has its answer.

    Raises ValueError with the first answer that is not 202, and ConnectionError when the server hangs up.
    """
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Connection(load), host, port) for _ in range(connections)]
    try:
        await asyncio.gather(*(connection.ended for _, connection in opened))
    finally:
        for transport, _ in opened:
            transport.close()


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._load = load
        self._received = b""
        self._length: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._length is None and (at := self._received.find(_HEAD_END)) >= 0:
            self._length = at + len(_HEAD_END) + content_length(self._received[:at])
        if self._length is None or len(self._received) < self._length or self.ended.done():
            return
        if not self._received.startswith(b"HTTP/1.1 202 "):
            self.ended.set_exception(ValueError(self._received.decode("utf-8", "replace")))
            return
        self._load.answers.append(Answer(self._began_s, (time.monotonic() - self._began_s) * 1000, self._events))
        self._received, self._length = b"", None
        if self._load.stop:
            self.ended.set_result(None)
        else:
            self._send()

    def _send(self) -> None:
        request = next(self._load.requests)
        self._events, self._began_s = request.events, time.monotonic()
        self._transport.write(request.wire)


def content_length(head: bytes) -> int:
    """The Content-Length of an answer's head. Raises ValueError when it has none."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ValueError("an answer without Content-Length")
