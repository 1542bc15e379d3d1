"""A TCP proxy before ClickHouse that passes bytes on, stops in the middle of a response, or refuses connections.

`python -m tests.chaos.proxy PORT TARGET_PORT`, a process of its own: it must answer whatever else is busy. Signals say what it does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Final

HOST: Final = "127.0.0.1"
HANG, REFUSE, FLOW = signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP
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


async def serve(port: int, target_port: int) -> None:
    """Serve until a signal ends the process; HANG, REFUSE and FLOW say what happens to bytes."""
    proxy, loop = Proxy(target_port), asyncio.get_running_loop()
    for number, ask in ((HANG, proxy.hang), (REFUSE, proxy.refuse), (FLOW, proxy.flow)):
        loop.add_signal_handler(number, ask)
    server = await asyncio.start_server(proxy.serve, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
