"""The letters on `dlq.v1`, page by page: each event once, as it was refused last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

from aiokafka.structs import ConsumerRecord

from pipeline.runtime.topic_tail import pages_to_end
from schemas.dead_letter import DeadLetter, read_dead_letter, replayed
from schemas.topics import DLQ

#: Letters in memory at a time; each may have a megabyte, but hardly any has.
PAGE_LETTERS: Final = 2_000


class Letters:
    """Reads the topic twice: which letters came of a replay is known only at its end, and a replayed event is judged by its last letter."""

    def __init__(self, bootstrap_servers: str, on_total: Callable[[int], None], on_read: Callable[[int], None]) -> None:
        """`on_total` is told how many records will be read, `on_read` how many have just been."""
        self._bootstrap_servers, self._on_total, self._on_read = bootstrap_servers, on_total, on_read
        self._last_attempts: dict[str, int] = {}
        self._seen: dict[tuple[str, int], set[int]] = defaultdict(set)
        self.unreadable = 0

    async def pages(self) -> AsyncGenerator[list[DeadLetter]]:
        """Letters in the order in which they were written. Who does not read to the end closes it (`contextlib.aclosing`)."""
        await self._find_replayed()
        async with aclosing(pages_to_end(self._bootstrap_servers, DLQ.name, most_records=PAGE_LETTERS)) as pages:
            async for page in pages:
                yield [letter for record in page.records if (letter := self._current(record)) is not None]
                self._on_read(len(page.records))

    async def _find_replayed(self) -> None:
        async with aclosing(pages_to_end(self._bootstrap_servers, DLQ.name, most_records=PAGE_LETTERS)) as pages:
            async for page in pages:
                if not page.records:
                    self._on_total(2 * (page.end - page.position))
                for record in page.records:
                    attempts, origin = replayed(record.headers)
                    if attempts:
                        self._last_attempts[origin] = max(attempts, self._last_attempts.get(origin, 0))
                self._on_read(len(page.records))

    def _current(self, record: ConsumerRecord) -> DeadLetter | None:
        """None for what is no letter, for one that was written twice, and for one whose event was refused again since."""
        try:
            letter = read_dead_letter(record.headers, record.key, record.value)
        except ValueError:
            self.unreadable += 1
            return None
        seen = self._seen[letter.kafka_topic, letter.kafka_partition]
        if letter.kafka_offset in seen or is_superseded(letter, self._last_attempts):
            return None
        seen.add(letter.kafka_offset)
        return letter


def is_superseded(letter: DeadLetter, last_attempts: Mapping[str, int]) -> bool:
    """Whether the letter's event was replayed since, and refused again.

    Args:
        letter: any.
        last_attempts: highest number of attempts of the letters that came of replays, by the place of the first letter.
    """
    return last_attempts.get(letter.first_place, 0) > letter.attempts
