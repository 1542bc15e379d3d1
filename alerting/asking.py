"""Puts the questions of the rules to ClickHouse, beside the judging of flushes: an answer that is late delays nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from mode import Service

from alerting import metrics
from alerting.engine.readings import Question, answer
from pipeline.clickhouse.client import Client
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import RetryAfter, TelemetryError
from pipeline.runtime.settings import ClickHouse
from pipeline.runtime.waiting import Waiting
from schemas.decision import Reading

log = structlog.get_logger(__name__)

LOOK_S: Final = 1.0
LONGEST_S: Final = 10.0
_AT_ONCE: Final = 2
_FAILURES: Final = 3
#: Questions whose refusal the log says, each once.
_REFUSALS_SAID: Final = 100


class Asker(Service):
    """Asks what is `due`, two questions at a time, and tells every answer.

    While ClickHouse does not answer nothing is told, which the engine's rules say by themselves; the log says it once. A round ends after
    three failures in a row: what is left of it is asked when it is due again.
    """

    def __init__(
        self,
        settings: ClickHouse,
        clock: Clock,
        *,
        due: Callable[[], Sequence[Question]],
        tell: Callable[[Reading], Awaitable[None]],
        **service: Any,
    ) -> None:
        super().__init__(**service)
        self._client = Client(settings, read_timeout_s=int(LONGEST_S))
        self._clock, self._due, self._tell = clock, due, tell
        self._waiting = Waiting("asking ClickHouse", clock)
        self._refused: set[str] = set()
        self._failures = 0

    async def on_stop(self) -> None:
        await self._client.close()

    @Service.task
    async def _ask_regularly(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_S)
            await self.ask(self._due())

    async def ask(self, questions: Sequence[Question]) -> None:
        """One round; returns when every question has been answered or refused, or ClickHouse is away."""
        ahead = iter(questions)  # both take the next one from it
        self._failures = 0

        async def some() -> None:
            for question in ahead:
                if self.should_stop or self._failures >= _FAILURES:
                    metrics.READINGS.labels("not asked").inc()
                else:
                    await self._one(question)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))

    async def _one(self, question: Question) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                rows = await self._client.query(question.sql)
            reading = answer(question, rows, self._clock.now_ms())
        except TimeoutError:
            self._away(question, f"no answer within {LONGEST_S:.0f} s")
        except RetryAfter as error:
            self._away(question, str(error))
        except (TelemetryError, ValueError, KeyError, TypeError) as error:
            self._no_answer(question, error)
        else:
            self._failures = 0
            self._refused.discard(question.question_id)
            self._waiting.over()
            metrics.READINGS.labels("answered").inc()
            await self._tell(reading)

    def _away(self, question: Question, why: str) -> None:
        self._failures += 1
        metrics.READINGS.labels("failed").inc()
        self._waiting.goes_on(f"{question.question_id}: {why}")

    def _no_answer(self, question: Question, error: Exception) -> None:
        """This question has none, whatever becomes of the others: a table is missing, or the answer is not what was asked for."""
        metrics.READINGS.labels("refused").inc()
        if question.question_id not in self._refused and len(self._refused) < _REFUSALS_SAID:
            self._refused.add(question.question_id)
            log.error("a question of the rules has no answer", question=question.question_id, error=" ".join(str(error).split())[:300])
