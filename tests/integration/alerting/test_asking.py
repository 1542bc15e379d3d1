from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from alerting.asking import Asker
from alerting.engine.readings import Question
from pipeline.embedded.ports import free_port
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.settings import ClickHouse
from schemas.decision import Reading, ReadingRow
from schemas.timestamps import to_ms
from tests.integration.clickhouse.conftest import migrated, writer

__all__ = ["migrated", "writer"]

ANSWER = (
    "SELECT map('api', toString(number)) AS labels, number AS numerator, 4 AS denominator, nullIf(number / 4, 0) AS value FROM numbers(2)"
)


def question(name: str, sql: str = ANSWER) -> Question:
    return Question(name, 60_000, 120_000, sql)


class Told:
    """An asker and what it told."""

    def __init__(self, settings: ClickHouse) -> None:
        self.readings: list[Reading] = []
        self.due: list[Question] = []
        self.asker = Asker(settings, SystemClock(), due=self.take_due, tell=self.tell)

    def take_due(self) -> list[Question]:
        due, self.due = self.due, []
        return due

    async def tell(self, reading: Reading) -> None:
        self.readings.append(reading)

    @property
    def names(self) -> list[str]:
        return sorted(reading.question_id for reading in self.readings)


@pytest.fixture
async def told(migrated: ClickHouse) -> AsyncIterator[Told]:
    one = Told(migrated)
    yield one
    await one.asker.stop()


async def test_an_answer_becomes_a_reading(told: Told) -> None:
    """Its rows by labels, its window that of the question, its time that of the answer."""
    before_ms = time.time_ns() // 1_000_000
    await told.asker.ask([question("q")])
    (reading,) = told.readings
    assert (reading.question_id, to_ms(reading.window_from), to_ms(reading.window_to)) == ("q", 60_000, 120_000)
    assert before_ms <= to_ms(reading.read_at) <= time.time_ns() // 1_000_000
    assert reading.rows == (
        ReadingRow(labels={"api": "0"}, numerator=0, denominator=4, value=None),
        ReadingRow(labels={"api": "1"}, numerator=1, denominator=4, value=0.25),
    )


async def test_questions_that_are_due_are_asked_once_while_it_runs(told: Told) -> None:
    """Within a second or so of falling due, and not again."""
    await told.asker.start()
    told.due = [question("a"), question("b"), question("c")]
    async with asyncio.timeout(10):
        while len(told.readings) < 3:
            await asyncio.sleep(0.02)
    assert told.names == ["a", "b", "c"]


async def test_a_question_that_clickhouse_refuses_is_nobody_elses_trouble(told: Told) -> None:
    """A missing table, columns that are none, an answer of another shape: said once each; the others are answered."""
    wrong = [
        question("no table", "SELECT * FROM telemetry.nowhere"),
        question("no rows' shape", "SELECT 1 AS numerator"),
        question("not SQL", "SELECT FROM WHERE"),
        question("no number", "SELECT map() AS labels, 'x' AS numerator, 1 AS denominator, 1 AS value"),
    ]
    with capture_logs() as lines:
        for _ in range(2):
            await told.asker.ask([*wrong, question("right")])
    assert told.names == ["right", "right"]
    assert sorted(line["question"] for line in lines if line["log_level"] == "error") == sorted(one.question_id for one in wrong)


async def test_without_clickhouse_nothing_is_told_and_it_is_said_once() -> None:
    """A round of fifty questions ends after a few; the log has one line, and one when ClickHouse is back."""
    told = Told(ClickHouse(url=f"http://127.0.0.1:{free_port()}"))
    with capture_logs() as lines:
        began = time.monotonic()
        for _ in range(2):
            await told.asker.ask([question(f"q{number}") for number in range(50)])
        assert time.monotonic() - began < 5
    assert told.readings == []
    assert [line["event"] for line in lines] == ["asking ClickHouse waits"]
    await told.asker.stop()
