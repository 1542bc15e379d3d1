"""`python -m tests.chaos.alerting.role alerter`: the real one, which signs what it writes, and dies or freezes where it is told to.

CHAOS_NAME is its name, which stands in a header of every record; CHAOS_TRACES and CHAOS_ORDER are as in `tests.chaos.probe`, an order
is "SIGSTOP before alerts.v1"; CHAOS_PLANT names a safeguard to leave out.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

import alerting.fence
from alerting import alerter, notifier
from alerting.fence import Fence
from pipeline.runtime.producer import Message, send_all
from pipeline.runtime.settings import load_settings
from schemas.topics import PREFIX
from tests.chaos.alerting.plant import plant
from tests.chaos.probe import Trace

SIGNED: Final = "chaos.process"


def sign(name: str) -> None:
    """Every record that passes the fence says whose it is."""
    headers = ((SIGNED, name.encode()),)

    async def sent(producer: AIOKafkaProducer, messages: Sequence[Message], **how: Any) -> list[RecordMetadata]:
        return await send_all(producer, [replace(message, headers=headers) for message in messages], **how)

    alerting.fence.send_all = sent  # type: ignore[attr-defined]


def watch(trace: Trace, order_file: Path) -> None:
    """Note what it has read of the topics it writes, and obey orders on both sides of what it writes."""
    read_to, publish = Fence.read_to, Fence.publish

    def reached(when: str, messages: Sequence[Message]) -> None:
        for topic in dict.fromkeys(message.topic.removeprefix(PREFIX) for message in messages):
            try:
                number, place = order_file.read_text("utf-8").split(" ", 1)
            except FileNotFoundError:
                return
            if place == f"{when} {topic}":
                order_file.unlink(missing_ok=True)
                os.kill(os.getpid(), signal.Signals[number])

    @wraps(read_to)
    def has_read(self: Fence, topic: str, offset: int) -> None:
        trace.say("read", topic=topic.removeprefix(PREFIX), offset=offset, at_ms=time.time_ns() // 1_000_000)
        read_to(self, topic, offset)

    @wraps(publish)
    async def published(self: Fence, producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[RecordMetadata]:
        reached("before", messages)
        landed = await publish(self, producer, messages)
        reached("after", messages)
        return landed

    Fence.read_to = has_read  # type: ignore[method-assign]
    Fence.publish = published  # type: ignore[method-assign]


def main(role: str) -> None:
    """Run until a signal ends it, or an order."""
    name = os.environ["CHAOS_NAME"]
    sign(name)
    watch(Trace(Path(os.environ["CHAOS_TRACES"]) / f"{name}.ndjson"), Path(os.environ["CHAOS_ORDER"]))
    plant(os.environ.get("CHAOS_PLANT"))
    {"alerter": alerter.main, "notifier": notifier.main}[role](load_settings())


if __name__ == "__main__":
    main(sys.argv[1])
