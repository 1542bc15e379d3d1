"""Sends the events of a file: one lane per partition, one request at a time in each, so that the order of every key is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

from pipeline.cli.event_file import Line
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter, Stop
from pipeline.runtime.producer import Message, send_all
from schemas.event import decode
from schemas.partitioning import EVENT_PARTITIONS
from schemas.topics import EVENTS

BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 512 << 10
#: A replay by event time sends what is due at least this often.
PACE_S: Final = 0.1
#: So long a stack that answers nobody is waited for; a restart, or a disk that somebody makes room on, takes less.
PATIENCE_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that was refused, and why; `errors` as the gateway words them."""

    line: int
    event_id: str
    errors: tuple[dict[str, str], ...]


@dataclass(slots=True)
class Outcome:
    """What has become of the lines so far; of those that are in neither some may have arrived all the same."""

    accepted: int = 0
    rejected: list[Rejection] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return self.accepted + len(self.rejected)


#: Sends a batch of lines of one partition and returns those refused. Raises RetryAfter when the batch must be sent again.
Sink = Callable[[Sequence[Line]], Awaitable[list[Rejection]]]


class Patience:
    """What all lanes share of waiting for a stack that does not answer: it begins anew with every answer to any of them."""

    def __init__(self, clock: Clock, patience_s: float = PATIENCE_S, tell: Callable[[str | None, float], None] = lambda reason, s: None):
        """`tell` is told why nothing goes on and for how many seconds, at each attempt that fails; None when it goes on again."""
        self._clock, self._patience_s, self._tell = clock, patience_s, tell
        self._since: float | None = None

    def failed(self, reason: str) -> None:
        """Note an attempt without an answer. Raises Stop when it has been so for too long."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since > self._patience_s:
            raise Stop(f"gave up after {self._patience_s:.0f} s: {reason}")
        self._tell(reason, now - self._since)

    def answered(self) -> None:
        """Note an answer."""
        if self._since is not None:
            self._tell(None, self._clock.monotonic() - self._since)
            self._since = None


async def publish(
    lines: Iterable[Line],
    sink: Sink,
    clock: Clock,
    outcome: Outcome,
    *,
    on_sent: Callable[[int], None] = lambda answered: None,
    due_s: Callable[[Line], float] | None = None,
    patience: Patience | None = None,
) -> None:
    """Send all lines and wait for the answers.

    Args:
        lines: in file order.
        sink: where they go.
        clock: for the pace.
        outcome: filled as answers come, so that it is right whatever ends this: Stop, or a person who has waited long enough.
        on_sent: told how many lines have just been answered for.
        due_s: when a line may leave, in seconds after the start; None: as fast as the sink takes them.
        patience: for a sink that does not answer.
    """
    lane = partial(_Lane, sink, on_sent, outcome, patience or Patience(clock))
    try:
        await _run_lanes(lines, [lane() for _ in range(EVENT_PARTITIONS)], clock, due_s)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the lanes fail alike, and people get one line


async def _run_lanes(lines: Iterable[Line], lanes: Sequence[_Lane], clock: Clock, due_s: Callable[[Line], float] | None) -> None:
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane.run())
        began = clock.monotonic()
        for line in lines:
            if due_s is not None and (wait_s := began + due_s(line) - clock.monotonic()) > PACE_S:
                for lane in lanes:
                    await lane.send_pending()
                await asyncio.sleep(wait_s)
            await lanes[line.partition].add(line)
        for lane in lanes:
            await lane.end()


class _Lane:
    def __init__(self, sink: Sink, on_sent: Callable[[int], None], outcome: Outcome, patience: Patience) -> None:
        self._sink, self._on_sent, self._outcome, self._patience = sink, on_sent, outcome, patience
        self._pending: list[Line] = []
        self._pending_bytes = 0
        self._batches: asyncio.Queue[list[Line]] = asyncio.Queue(maxsize=4)

    async def add(self, line: Line) -> None:
        self._pending.append(line)
        self._pending_bytes += len(line.value)
        if len(self._pending) >= BATCH_EVENTS or self._pending_bytes >= BATCH_BYTES:
            await self.send_pending()

    async def send_pending(self) -> None:
        if self._pending:
            batch, self._pending, self._pending_bytes = self._pending, [], 0
            await self._batches.put(batch)

    async def end(self) -> None:
        await self.send_pending()
        await self._batches.put([])

    async def run(self) -> None:
        while batch := await self._batches.get():
            rejected = await self._patiently(batch)
            self._outcome.rejected += rejected
            self._outcome.accepted += len(batch) - len(rejected)
            self._on_sent(len(batch))

    async def _patiently(self, batch: Sequence[Line]) -> list[Rejection]:
        """The same ids again are the same events, so a batch whose answer was lost is simply sent again."""
        while True:
            try:
                rejected = await self._sink(batch)
            except RetryAfter as busy:
                self._patience.failed(str(busy))
                await asyncio.sleep(busy.seconds)
            else:
                self._patience.answered()
                return rejected


def gateway_sink(session: aiohttp.ClientSession, gateway_url: str, write_key: str | None) -> Sink:
    """Over HTTP, as any service does it."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {write_key}"} if write_key else {})

    async def send(lines: Sequence[Line]) -> list[Rejection]:
        readable = [line for line in lines if line.event_id]
        unreadable = [_local_rejection(line) for line in lines if not line.event_id]
        if not readable:
            return unreadable
        body = b"[" + b",".join(line.value for line in readable) + b"]"
        try:
            async with session.post(f"{gateway_url}/v1/events", data=body, headers=headers) as response:
                answer = _document(await response.read())
                if response.status != 202:
                    raise _refusal(response, answer)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryAfter(f"the gateway at {gateway_url} does not answer ({type(error).__name__})") from error
        return unreadable + [
            Rejection(readable[one["index"]].number, str(one["event_id"] or ""), tuple(one["errors"])) for one in answer["rejected"]
        ]

    return send


def kafka_sink(producer: AIOKafkaProducer) -> Sink:
    """Straight to the topic, by the key rule; validated here, since no gateway does it."""

    async def send(lines: Sequence[Line]) -> list[Rejection]:
        decoded = decode([line.value for line in lines])
        messages = []
        for line, event in zip(lines, decoded.events, strict=True):
            if event is not None:
                key = event.get("user_id") or event.get("session_id") or event["event_id"]
                messages.append(Message(EVENTS.name, value=line.value, key=key.encode()))
        await send_all(producer, messages)
        return [_rejection(lines[i], bad.errors) for i, bad in decoded.bad.items()]

    return send


#: What passes: too much at once, and a gateway, or what stands before it, that has no way to Kafka at this moment.
_PASSING_STATUS: Final = frozenset({429, 502, 503, 504})


def _refusal(response: aiohttp.ClientResponse, answer: dict[str, Any]) -> Exception:
    said = f"{answer['error']}: {answer.get('message')}" if "error" in answer else response.reason
    text = f"the gateway at {response.url.origin()} answers {response.status} {said}"
    if response.status in _PASSING_STATUS:
        wanted = response.headers.get("Retry-After", "")
        return RetryAfter(text, float(wanted) if wanted.isdecimal() else 1.0)
    return Stop(text)


def _document(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer; empty when it is none, since what stands before a gateway answers as it likes."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _local_rejection(line: Line) -> Rejection:
    return _rejection(line, decode([line.value]).bad[0].errors)


def _rejection(line: Line, errors: Iterable[Any]) -> Rejection:
    return Rejection(line.number, line.event_id, tuple({"field": error.field, "message": error.message} for error in errors))
