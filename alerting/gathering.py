"""Flushes of the past, many taken in as one: of every pane only the newest snapshot.

A busy hour of `panes.v1` is half a million flushes, nearly all of them older snapshots of the same panes. What a board says depends
neither on the order of flushes nor on older versions, so it may be shown the newest ones alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from schemas.pane import Flush, Pane
from schemas.partitioning import EVENT_PARTITIONS

#: Panes that are held; what comes together in the log is mostly about the same ones.
_HELD: Final = 20_000
_NO_BUCKETS: Final[dict[str, int]] = {}


class Reach(NamedTuple):
    """All events of a partition up to `last_offset` are in panes; has_caught_up: so was everything there was, at some time before."""

    partition: int
    last_offset: int
    has_caught_up: bool


@dataclass(slots=True)
class _Partition:
    """How far a partition has said it is."""

    at_ms: int = 0
    last_offset: int = -1
    watermark: datetime | None = None
    caught_up_at: datetime | None = None


class Gathered:
    """`add` records of `panes.v1`; `flushes`, when it `is_full` at the latest, is what they say together."""

    def __init__(self, metrics: Collection[str], with_buckets: Collection[str]) -> None:
        self._metrics, self._with_buckets = frozenset(metrics), frozenset(with_buckets)
        self._panes: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._partitions: dict[int, _Partition] = {}

    @property
    def is_full(self) -> bool:
        return len(self._panes) >= _HELD

    def add(self, value: bytes, at_ms: int) -> Reach | None:
        """Take in one record, written to the log at `at_ms`; how far it says its partition is, None of a part or a repair.

        Raises ValueError for what no worker writes.
        """
        try:
            document = orjson.loads(value)
            partition, last_offset = document["source_partition"], document["last_offset"]
            if not isinstance(partition, int) or not isinstance(last_offset, int) or not 0 <= partition < EVENT_PARTITIONS:
                raise ValueError(f"events.v1 has no partition {partition}, or its offset {last_offset} is none")
            reach = self._reach(partition, document, at_ms)
            for pane in document["panes"]:
                if pane["metric"] in self._metrics:
                    self._keep_newer(partition, pane)
            return reach
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a flush: {error!r}") from None

    def flushes(self) -> Iterator[tuple[Flush, int]]:
        """What was added since the last time, one flush for each partition that spoke, each with the newest of its times."""
        panes, self._panes = self._panes, {}
        partitions, self._partitions = self._partitions, {}
        of_partition: dict[int, list[dict[str, Any]]] = {}
        for key, pane in panes.items():
            of_partition.setdefault(key[0], []).append(pane)
        for partition, reached in partitions.items():
            yield _flush(partition, reached, of_partition.get(partition, [])), reached.at_ms

    def _reach(self, partition: int, document: dict[str, Any], at_ms: int) -> Reach | None:
        watermark, caught_up_at = _instant(document["watermark"]), _instant(document["caught_up_at"])
        reached = self._partitions.setdefault(partition, _Partition())
        reached.at_ms = max(reached.at_ms, at_ms)
        if watermark is None and caught_up_at is None:
            return None
        reached.last_offset = max(reached.last_offset, document["last_offset"])
        reached.watermark = max((one for one in (watermark, reached.watermark) if one is not None), default=None)
        reached.caught_up_at = max((one for one in (caught_up_at, reached.caught_up_at) if one is not None), default=None)
        return Reach(partition, document["last_offset"], caught_up_at is not None)

    def _keep_newer(self, partition: int, pane: dict[str, Any]) -> None:
        key = (partition, pane["metric"], pane["start"], *pane["labels"].items())
        before = self._panes.get(key)
        if before is None or pane["version"] > before["version"]:
            if pane["metric"] not in self._with_buckets:
                pane["buckets"] = _NO_BUCKETS
            self._panes[key] = pane


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} is no instant: its time zone is missing")
    return instant


def _flush(partition: int, reached: _Partition, panes: list[dict[str, Any]]) -> Flush:
    kept = []
    for pane in panes:
        with suppress(ValidationError):  # of a record that is a dead letter
            kept.append(Pane.model_validate(pane))
    return Flush(
        source_partition=partition,
        last_offset=reached.last_offset,
        watermark=reached.watermark,
        caught_up_at=reached.caught_up_at,
        panes=kept,
    )
