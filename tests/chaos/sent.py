"""The producer's own ledger: what was sent, in which copies, by which way, and what was said to it.

It knows nothing of the system under test but the answers it got. The oracle judges against it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import orjson
from aiokafka.partitioner import murmur2

PARTITIONS: Final = 12

What = Literal["event", "conflict", "poison"]
How = Literal["kafka", "gateway"]
Outcome = Literal["unknown", "acked", "rejected"]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is sent, perhaps several times.

    name: an event's id; of another content under that id, the id and '!'; of poison, its tag, which is also its Kafka key.
    value: the bytes as sent, None for a Kafka record without value. why: 'ordinary', 'late', 'clamped', or the kind of poison.
    """

    name: str
    what: What
    key: bytes
    value: bytes | None
    why: str = "ordinary"

    @property
    def event_id(self) -> str:
        return self.name.removesuffix("!")

    @property
    def home(self) -> int:
        """The partition that owns the key, by Kafka's own default partitioner."""
        return int(murmur2(self.key) & 0x7FFFFFFF) % PARTITIONS

    def document(self) -> dict[str, Any]:
        """The event as it was sent. Of an event or a conflict only."""
        document: dict[str, Any] = orjson.loads(self.value or b"")
        return document


@dataclass(slots=True)
class Copy:
    """One sending of an item. `partition` None leaves the choice to the key.

    `attempts` above 1: earlier ones got no answer, or a bad one, and may be in the log as well.
    `landed` is (partition, offset) as Kafka acknowledged it; a copy through the gateway has none. `answer` is a refusal's text.
    """

    item: str
    how: How
    partition: int | None = None
    attempts: int = 0
    outcome: Outcome = "unknown"
    landed: tuple[int, int] | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """The true incident: in event time [start_ms, end_ms) every menu of one provider failed."""

    start_ms: int
    end_ms: int


@dataclass(slots=True)
class Sent:
    """All of it, in memory. `problems` are answers that no correct gateway gives."""

    items: dict[str, Item] = field(default_factory=dict)
    copies: list[Copy] = field(default_factory=list)
    incident: Incident | None = None
    problems: list[str] = field(default_factory=list)

    def add(self, item: Item) -> None:
        self.items[item.name] = item

    def copy(self, item: Item, how: How, partition: int | None) -> Copy:
        """Note that a copy is about to be sent."""
        copy = Copy(item.name, how, partition)
        self.copies.append(copy)
        return copy

    def acked(self) -> Iterator[tuple[Item, Copy]]:
        """Copies that somebody took responsibility for."""
        return ((self.items[copy.item], copy) for copy in self.copies if copy.outcome == "acked")

    def dump(self, path: Path) -> None:
        """Write NDJSON that `load` reads."""
        with path.open("wb") as file:
            for item in self.items.values():
                value = None if item.value is None else base64.b64encode(item.value).decode()
                file.write(orjson.dumps({"item": asdict(item) | {"key": base64.b64encode(item.key).decode(), "value": value}}) + b"\n")
            for copy in self.copies:
                file.write(orjson.dumps({"copy": asdict(copy)}) + b"\n")
            for problem in self.problems:
                file.write(orjson.dumps({"problem": problem}) + b"\n")
            if self.incident is not None:
                file.write(orjson.dumps({"incident": asdict(self.incident)}) + b"\n")

    @classmethod
    def load(cls, path: Path) -> Sent:
        """Read what `dump` wrote."""
        sent = cls()
        for line in path.read_bytes().splitlines():
            ((kind, content),) = orjson.loads(line).items()
            if kind == "item":
                value = None if content["value"] is None else base64.b64decode(content["value"])
                sent.add(Item(**content | {"key": base64.b64decode(content["key"]), "value": value}))
            elif kind == "copy":
                landed = content["landed"] and tuple(content["landed"])
                sent.copies.append(Copy(**content | {"landed": landed}))
            elif kind == "problem":
                sent.problems.append(content)
            else:
                sent.incident = Incident(**content)
        return sent
