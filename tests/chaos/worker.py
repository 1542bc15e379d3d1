"""`python -m tests.chaos.worker`: the real worker with probes around what it does to the outside, and perhaps with a planted bug."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import wraps
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError

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

_REFUSALS: Final = (UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError)
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
    """The broker's answers are seen where aiokafka reads them: a caller that woke up late no longer waits for its own."""
    commit, ask_broker = AIOKafkaConsumer.commit, GroupCoordinator._do_commit_offsets

    def of_events(offsets: Mapping[TopicPartition, Any]) -> bool:
        return any(tp.topic == EVENTS.name for tp in offsets)

    @wraps(commit)
    async def committed(self: Any, offsets: Mapping[TopicPartition, int]) -> None:
        if of_events(offsets):
            probe.reached("before", "commit")
        await commit(self, offsets)
        if of_events(offsets):
            probe.reached("after", "commit")

    @wraps(ask_broker)
    async def answered(self: Any, assignment: Any, offsets: Mapping[TopicPartition, Any]) -> None:
        what = "commit_unanswered"
        try:
            await ask_broker(self, assignment, offsets)
            what = "commit"
        except _REFUSALS:
            what = "commit_refused"
            raise
        finally:
            for tp, offset in offsets.items() if of_events(offsets) else ():
                probe.trace.say(what, partition=tp.partition, offset=offset.offset)

    AIOKafkaConsumer.commit = committed
    GroupCoordinator._do_commit_offsets = answered


def main() -> None:
    """Run until a signal ends it, or an order."""
    probe = Probe.from_environment("worker")
    for watch in (watch_outlet, watch_inserts, watch_chunks, watch_commits):
        watch(probe)
    plant(os.environ.get("CHAOS_PLANT"))
    run(create_app(load_settings()))


if __name__ == "__main__":
    main()
