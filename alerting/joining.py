"""Where the past that ClickHouse has meets the flushes that are read from Kafka: what must be stored, and which of it counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from alerting.gathering import Reach
from schemas.partitioning import EVENT_PARTITIONS


class Join:
    """`note` what the first minute of flushes says; then ClickHouse may stand for all flushes before them, or not (`why_not`).

    It may when it has stored every event of the flushes before: when each partition's progress is beyond a flush of that minute which had
    caught up. One that had not may be of a worker that reads again what another one has published (decision 0003).
    """

    def __init__(self, partitions: int = EVENT_PARTITIONS) -> None:
        self._partitions = range(partitions)
        self._last: dict[int, int] = {}
        self._caught_up: set[int] = set()

    def note(self, reach: Reach) -> None:
        """One flush, in the order of the log."""
        partition = reach.partition
        self._last[partition] = max(reach.last_offset, self._last.get(partition, reach.last_offset))
        if reach.has_caught_up:
            self._caught_up.add(partition)

    def why_not(self, positions: Mapping[int, int]) -> str | None:
        """Why rows of ClickHouse may be missing, None when they are not. positions: `partition_progress`, by partition."""
        if silent := [partition for partition in self._partitions if partition not in self._last]:
            return f"partitions {silent} did not flush"
        if behind := [partition for partition in self._partitions if partition not in self._caught_up]:
            return f"partitions {behind} had not caught up"
        if missing := [partition for partition in self._partitions if positions.get(partition, 0) <= self._last[partition]]:
            return f"rows of partitions {missing} are not all stored"
        return None

    @property
    def newest_versions(self) -> list[int]:
        """By partition: a snapshot with a higher version was not there yet, and comes once more with the flushes that follow."""
        return [2 * self._last[partition] + 1 for partition in self._partitions]
