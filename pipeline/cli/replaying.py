"""Publishes dead letters again, page by page, or says what that would do."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from pipeline.cli.event_file import Line
from pipeline.cli.publishing import Outcome, Patience, Rejection, publish
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.state import Progress
from pipeline.dead_letters.letters import Filter, Ready, is_given_up
from pipeline.dead_letters.moves import Moves
from pipeline.dead_letters.planning import Planner
from pipeline.dead_letters.reading import Letters
from pipeline.runtime.clock import Clock
from pipeline.runtime.producer import Message, send_all
from schemas.dead_letter import DeadLetter
from schemas.topics import EVENTS

#: Publishes what is ready, in order for each key.
Publish = Callable[[Sequence[Ready]], Awaitable[None]]

_NUMBERS: Final = ("matched", "ready", "replayed", "stored", "given_up", "unreadable", "unread_records", "has_more")
#: More letters than there can be.
EVERY: Final = sys.maxsize


@dataclass(frozen=True, slots=True)
class Request:
    """Which letters, after which fixes, and how many of them at most; `force` takes those too that are given up."""

    letters: Filter
    fixes: tuple[str, ...] = ()
    most: int = EVERY
    force: bool = False


@dataclass(slots=True)
class Report:
    """What came of it. `ready` are those that were, or would be, replayed; `refused` counts (error code, reason).

    `has_more` when it ended at the most that were asked for; `unread_records` of events.v1 no worker had read when it began.
    """

    matched: int = 0
    ready: int = 0
    replayed: int = 0
    stored: int = 0
    given_up: int = 0
    unreadable: int = 0
    unread_records: int = 0
    has_more: bool = False
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    moves: Moves = field(default_factory=Moves)

    @property
    def is_whole(self) -> bool:
        """Whether every letter that was meant is an event, now or after the replay."""
        return not self.refused and not self.given_up

    def as_document(self) -> dict[str, Any]:
        """For programs."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        refused = [{"error_code": code, "reason": reason, "count": n} for (code, reason), n in self.refused.most_common()]
        return {**numbers, "refused": refused, "moves": self.moves.as_document()}


async def replay(
    letters: Letters, client: Client, progress: Mapping[int, Progress], clock: Clock, request: Request, report: Report, send: Publish | None
) -> None:
    """Go through the letters and fill `report`, so that it is right whatever ends this.

    Args:
        letters: the topic.
        client: of ClickHouse.
        progress: how far the partitions of `events.v1` have been read.
        clock: for the time at which the events would be received.
        request: what is wanted.
        report: to be filled.
        send: publishes; None for a dry run.
    """
    planner = Planner(client, progress, clock, request.fixes)
    report.moves = planner.moves
    async with aclosing(letters.pages()) as pages:
        async for page in pages:
            wanted = _wanted(page, request, report)
            plan = await planner.plan(wanted, request.most - report.ready)
            report.matched -= plan.left
            report.ready += len(plan.ready)
            report.stored += plan.stored
            report.refused.update((bad.code, bad.reason) for bad in plan.refused)
            report.unreadable = letters.unreadable
            if send is not None:
                await send(plan.ready)
            if report.ready == request.most:
                report.has_more = True
                return


def _wanted(page: Sequence[DeadLetter], request: Request, report: Report) -> list[DeadLetter]:
    meant = [letter for letter in page if request.letters.takes(letter)]
    wanted = [letter for letter in meant if request.force or not is_given_up(letter)]
    report.matched += len(meant)
    report.given_up += len(meant) - len(wanted)
    return wanted


def to_kafka(producer: AIOKafkaProducer, clock: Clock, patience: Patience, report: Report) -> Publish:
    """One lane per partition, as events of a file are published; what Kafka did not answer for is sent again and counts once."""

    async def send(ready: Sequence[Ready]) -> None:
        async def sink(lines: Sequence[Line]) -> list[Rejection]:
            await send_all(producer, [_message(ready[line.number]) for line in lines])
            return []

        def sent(count: int) -> None:
            report.replayed += count

        lines = (Line(number, one.value, one.event["event_id"], one.partition, None) for number, one in enumerate(ready))
        await publish(lines, sink, clock, Outcome(), on_sent=sent, patience=patience)

    return send


def _message(ready: Ready) -> Message:
    return Message(EVENTS.name, value=ready.value, key=ready.key.encode(), headers=ready.headers)
