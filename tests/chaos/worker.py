"""`python -m tests.chaos.worker`: the real worker with probes around what it does to the outside, and perhaps with a planted bug."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError

from pipeline.agents.outlet import Outlet
from pipeline.clickhouse.client import DATABASE, Client
from pipeline.clickhouse.tables import PARTITION_PROGRESS
from pipeline.runtime.ledger import Chunk, Ledger
from pipeline.runtime.producer import Message
from pipeline.runtime.settings import load_settings
from pipeline.runtime.shell import run
from pipeline.worker import create_app
from schemas.topics import DLQ, EVENTS, PANES
from tests.chaos.plant import plant
from tests.chaos.probe import Probe

_SENT: Final = {EVENTS.name: "moved", PANES.name: "panes.v1", DLQ.name: "dlq.v1"}


def watch_outlet(probe: Probe) -> None:
    send = Outlet.send

    @wraps(send)
    async def sent(self: Outlet, messages: Sequence[Message]) -> None:
        effects = [_SENT[topic] for topic in dict.fromkeys(message.topic for message in messages)]
        for effect in effects:
            probe.reached("before", effect)
        await send(self, messages)
        for effect in effects:
            probe.trace.say("sent", effect=effect, messages=len(messages))
            probe.reached("after", effect)

    Outlet.send = sent  # type: ignore[method-assign]


def rows_of_numbers(block: bytes) -> list[list[float]]:
    """Arrays as JSONCompactEachRow has them, with a comma or a line end between them."""
    rows: list[list[float]] = orjson.loads(b"[" + block.strip().replace(b"\n", b",") + b"]")
    return rows


def watch_inserts(probe: Probe) -> None:
    insert_block = Client.insert_block

    @wraps(insert_block)
    async def inserted(self: Client, table: str, columns: Sequence[str], block: bytes, fmt: str, settings: Mapping[str, Any]) -> int:
        name = table.removeprefix(f"{DATABASE}.")
        probe.reached("before", name)
        probe.trace.say("inserting", table=name)
        written = await insert_block(self, table, columns, block, fmt, settings)
        probe.trace.say("inserted", table=name, rows=written)
        if table == PARTITION_PROGRESS.name:
            for partition, position, *_ in rows_of_numbers(block):
                probe.trace.say("progress", partition=partition, position=position)
        probe.reached("after", name)
        return written

    Client.insert_block = inserted  # type: ignore[method-assign]


def watch_chunks(probe: Probe) -> None:
    deliver, done = Ledger.deliver, Chunk.done

    @wraps(deliver)
    def delivered(self: Ledger, records: Sequence[Any], size_bytes: int, now: float) -> Chunk:
        chunk = deliver(self, records, size_bytes, now)
        if self.tp.topic == EVENTS.name:
            probe.trace.say("delivered", partition=self.tp.partition, first=records[0].offset, last=records[-1].offset)
        return chunk

    @wraps(done)
    def is_done(self: Chunk) -> None:
        if self.tp.topic != EVENTS.name:
            done(self)
            return
        probe.reached("before", "done")
        probe.trace.say("done", partition=self.tp.partition, last=self.last_offset)
        done(self)
        probe.reached("after", "done")

    Ledger.deliver = delivered  # type: ignore[method-assign]
    Chunk.done = is_done  # type: ignore[method-assign]


def watch_commits(probe: Probe) -> None:
    commit = AIOKafkaConsumer.commit

    @wraps(commit)
    async def committed(self: Any, offsets: Mapping[Any, int]) -> None:
        mine = [(tp.partition, offset) for tp, offset in offsets.items() if tp.topic == EVENTS.name]
        if not mine:
            await commit(self, offsets)
            return
        probe.reached("before", "commit")
        what = "commit_unanswered"
        try:
            await commit(self, offsets)
            what = "commit"
        except (CommitFailedError, IllegalStateError, asyncio.CancelledError) as error:
            what = "commit_unanswered" if isinstance(error, asyncio.CancelledError) else "commit_refused"
            raise
        finally:
            for partition, offset in mine:
                probe.trace.say(what, partition=partition, offset=offset)
        probe.reached("after", "commit")

    AIOKafkaConsumer.commit = committed


def main() -> None:
    """Run until a signal ends it, or an order."""
    probe = Probe.from_environment("worker")
    for watch in (watch_outlet, watch_inserts, watch_chunks, watch_commits):
        watch(probe)
    plant(os.environ.get("CHAOS_PLANT"))
    run(create_app(load_settings()))


if __name__ == "__main__":
    main()
