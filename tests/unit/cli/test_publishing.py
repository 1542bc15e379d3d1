from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipeline.cli.event_file import Line
from pipeline.cli.publishing import BATCH_EVENTS, Outcome, Patience, Rejection, gateway_sink, publish
from pipeline.runtime.errors import RetryAfter, Stop


class Clock:
    """Advances by a minute at each look, so that patience ends without waiting."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now, self.step_s = 0.0, step_s

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        self.now += self.step_s
        return self.now


def lines(count: int) -> list[Line]:
    return [Line(number, b"{}", f"id-{number}", number % 12, None) for number in range(count)]


async def test_every_lane_keeps_the_order_of_the_file() -> None:
    """Lines of one partition arrive in file order, in batches of bounded size, and all are accounted for."""
    received: list[Line] = []
    sent: list[int] = []

    async def sink(batch: Sequence[Line]) -> list[Rejection]:
        assert len(batch) <= BATCH_EVENTS
        received.extend(batch)
        return []

    outcome = Outcome()
    await publish(lines(20_000), sink, Clock(), outcome, on_sent=sent.append)
    assert outcome.accepted == sum(sent) == 20_000
    for partition in range(12):
        assert [line.number for line in received if line.partition == partition] == list(range(partition, 20_000, 12))


async def test_a_batch_is_sent_again_until_it_is_answered() -> None:
    """A stack that is busy is asked again with the same lines before the next ones of the lane leave."""
    seen: list[tuple[int, ...]] = []

    async def sink(batch: Sequence[Line]) -> list[Rejection]:
        seen.append(tuple(line.number for line in batch))
        if len(seen) < 3:
            raise RetryAfter("busy", seconds=0.0)
        return [Rejection(batch[0].number, batch[0].event_id, ())]

    one_lane = [Line(number, b"{}", f"id-{number}", 0, None) for number in range(BATCH_EVENTS + 1)]
    outcome = Outcome()
    await publish(one_lane, sink, Clock(), outcome)
    assert seen[0] == seen[1] == seen[2] != seen[3]
    assert (outcome.accepted, [rejection.line for rejection in outcome.rejected]) == (BATCH_EVENTS - 1, [0, BATCH_EVENTS])


async def test_patience_ends_with_a_line() -> None:
    """A stack that answers nobody for too long ends it, and the line says why; what was answered before is known."""
    answered = 0

    async def sink(batch: Sequence[Line]) -> list[Rejection]:
        nonlocal answered
        answered += 1
        if answered > 1:
            raise RetryAfter("it is away", seconds=0.0)
        return []

    clock, outcome = Clock(step_s=60.0), Outcome()
    one_lane = [Line(number, b"{}", f"id-{number}", 0, None) for number in range(2 * BATCH_EVENTS)]
    with pytest.raises(Stop, match=r"gave up after 300 s: it is away"):
        await publish(one_lane, sink, clock, outcome, patience=Patience(clock, 300.0))
    assert (outcome.accepted, outcome.answered) == (BATCH_EVENTS, BATCH_EVENTS)


def test_patience_begins_anew_with_every_answer() -> None:
    """As long as anything goes on the stack is there; a person is told of each failed attempt, and once that it goes on."""
    told: list[tuple[str | None, float]] = []
    clock = Clock()
    patience = Patience(clock, 10.0, lambda reason, seconds: told.append((reason, seconds)))
    for clock.now in (0.0, 9.0):
        patience.failed("away")
    patience.answered()
    patience.answered()
    for clock.now in (11.0, 20.0):
        patience.failed("busy")
    assert told == [("away", 0.0), ("away", 9.0), (None, 9.0), ("busy", 0.0), ("busy", 9.0)]
    clock.now = 21.5
    with pytest.raises(Stop, match="busy"):
        patience.failed("busy")


@pytest.mark.parametrize(
    ("status", "headers", "body", "wait_s"),
    [
        (503, {"Retry-After": "5"}, '{"error":"kafka_unavailable","message":"Kafka does not answer"}', 5.0),
        (503, {"Retry-After": "Wed, 25 Nov 2026 21:00:00 GMT"}, "", 1.0),
        (502, {}, "<html>Bad Gateway</html>", 1.0),
        (504, {}, "[]", 1.0),
        (401, {}, '{"error":"unauthorized","message":"no key"}', None),
        (404, {}, "<html>Not Found</html>", None),
    ],
)
async def test_answers_of_whoever_stands_before_the_gateway(status: int, headers: dict[str, str], body: str, wait_s: float | None) -> None:
    """What passes is sent again when it says so, or after a second, whatever the body is; all else ends the command with one line."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers, text=body)

    app = web.Application()
    app.router.add_post("/v1/events", answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        sink = gateway_sink(session, f"http://127.0.0.1:{server.port}", None)
        with pytest.raises(
            RetryAfter if wait_s else Stop, match=rf"the gateway at http://127.0.0.1:{server.port} answers {status} "
        ) as raised:
            await sink(lines(1))
    assert getattr(raised.value, "seconds", None) == wait_s
