"""What each record of events.v1 is, by the contract: it counts, it repeats, it is moved, or it is a dead letter. Never more than one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from tests.chaos.expected_series import instant_ms
from tests.chaos.oracle_world import Place, Record
from tests.chaos.sent import Item, Sent

MOVED_FROM: Final = "moved_from"
_POISON_KEY: Final = b"chaos-poison-"


@dataclass(slots=True)
class Reading:
    """The log, read by somebody who only knows what was sent.

    names: what stands at each place. counting: event id → the record that counts, and the item it carries. strangers: what nobody sent.
    """

    names: dict[Place, str] = field(default_factory=dict)
    counting: dict[str, tuple[Record, Item]] = field(default_factory=dict)
    repeats: int = 0
    conflicts: dict[Place, Record] = field(default_factory=dict)
    poison: dict[Place, Record] = field(default_factory=dict)
    moved: list[Record] = field(default_factory=list)
    forwarded: list[Record] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    @property
    def dead(self) -> dict[Place, Record]:
        """What must be a dead letter."""
        return self.poison | self.conflicts


def read_log(sent: Sent, log: Iterable[Record]) -> Reading:
    """Judge every record, in the order of its partition."""
    reading = Reading()
    documents: dict[str, dict[str, Any]] = {}
    for record in sorted(log, key=lambda record: record.place):
        item = _item_of(record, sent, documents)
        if isinstance(item, str):
            reading.strangers.append(f"log record {_at(record)}: {item}")
            continue
        reading.names[record.place] = item.name
        _judge(record, item, documents, reading)
    return reading


def content(event: dict[str, Any]) -> tuple[Any, ...]:
    """What must be equal for two copies of an id to be the same event."""
    return event["event_type"], instant_ms(event["occurred_at"]), event.get("user_id") or "", event["properties"]


def _judge(record: Record, item: Item, documents: dict[str, dict[str, Any]], reading: Reading) -> None:
    if item.what == "poison":
        reading.poison[record.place] = record
        return
    if record.header(MOVED_FROM) is not None:
        reading.forwarded.append(record)
    elif record.partition != item.home:
        reading.moved.append(record)
        return
    first = reading.counting.setdefault(item.event_id, (record, item))
    if first[0] is record:
        return
    if content(documents[item.name]) == content(documents[first[1].name]):
        reading.repeats += 1
    else:
        reading.conflicts[record.place] = record


def _item_of(record: Record, sent: Sent, documents: dict[str, dict[str, Any]]) -> Item | str:
    """The item a record carries, or what is strange about it."""
    if record.key is not None and record.key.startswith(_POISON_KEY):
        item = sent.items.get(record.key.decode())
        return item if item is not None and item.value == record.value else "poison that nobody sent"
    try:
        document = orjson.loads(record.value or b"")
        event_id = document["event_id"].lower()
    except (ValueError, TypeError, KeyError, AttributeError):
        return "no event, and no poison of ours"
    if event_id not in sent.items:
        return f"id {event_id} that nobody sent"
    for name in (event_id, f"{event_id}!"):
        if name in sent.items and document == documents.setdefault(name, sent.items[name].document()):
            return sent.items[name]
    return f"id {event_id} with content that nobody sent"


def _at(record: Record) -> str:
    return f"{record.partition}/{record.offset}"
