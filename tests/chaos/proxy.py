"""A TCP proxy before ClickHouse that passes bytes on, stops in the middle of a response, or refuses connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

HOST: Final = "127.0.0.1"
_PIECE: Final = 64 << 10


class Proxy:
    """`hang`, `refuse` and `flow` hold for every connection, open ones included."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._open: set[asyncio.StreamWriter] = set()

    def hang(self) -> None:
        """Of the next response half a piece arrives, of everything else nothing; connections stay open, and are still accepted."""
        self._flowing.clear()

    def refuse(self) -> None:
        """Reset what is open, and whoever connects."""
        self._refusing = True
        for writer in self._open:
            writer.transport.abort()

    def flow(self) -> None:
        """What was held back goes on, to whoever still waits for it."""
        self._refusing = False
        self._flowing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        if self._refusing:
            writer.transport.abort()
            return
        try:
            behind_reader, behind_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, behind_writer}
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._requests(reader, behind_writer))
                pumps.create_task(self._responses(behind_reader, writer))
        except* OSError:
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()  # the client is gone; what it asked for is not wanted any more

    async def _responses(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            if not self._flowing.is_set():
                half = len(data) // 2
                writer.write(data[:half])
                data = data[half:]
                await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxy_to(target_port: int) -> AsyncIterator[tuple[str, Proxy]]:
    """The proxy's address and the proxy."""
    proxy = Proxy(target_port)
    server = await asyncio.start_server(proxy.serve, HOST, 0)
    try:
        yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}", proxy
    finally:
        proxy.refuse()
        proxy.flow()
        with suppress(TimeoutError):
            server.close()
            await asyncio.wait_for(server.wait_closed(), 5.0)
