"""L1, L2, L3, L5: nothing lost, nothing twice, nothing invented, and every record of the log accounted for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import orjson

from tests.chaos.expected_series import counted_at_ms, instant_ms
from tests.chaos.oracle_log import MOVED_FROM, Reading
from tests.chaos.oracle_world import EventRow, Place, Record, World
from tests.chaos.sent import Copy, Item, Sent

EVENTS = "nutricoach.telemetry.events.v1"


def nothing_lost(sent: Sent, world: World, reading: Reading) -> list[str]:
    """L1: what was acknowledged is in `events` or in `dead_letters`; what is valid was not refused."""
    found = [f"L1 {problem}" for problem in sent.problems]
    # The dead letter of another content under an event's id is not where the event itself went.
    dead = reading.dead
    kept = {row.event_id for row in world.events} | {row.event_id.lower() for row in world.dead_letters if row.place not in dead}
    logged = set(reading.names.values())
    for item, copy in sent.acked():
        if item.what == "poison" and copy.how == "gateway":
            found.append(f"L1 the gateway accepted poison {item.name} ({item.why})")
        elif item.what == "event" and item.name not in kept:
            found.append(
                f"L1 event {item.name}, acknowledged by {_by(copy)}, is neither in events nor in dead_letters{_where(item, reading)}"
            )
        elif item.name not in logged:
            found.append(f"L1 {item.what} {item.name}, acknowledged by {_by(copy)}, is not in the log")
        if copy.landed is not None and reading.names.get(copy.landed) != item.name:
            found.append(f"L1 log record {_text(copy.landed)} was acknowledged for {item.name} and is {reading.names.get(copy.landed)}")
    for copy in sent.copies:
        if copy.outcome == "rejected" and sent.items[copy.item].what != "poison":
            found.append(f"L1 the gateway rejected valid {copy.item}: {copy.answer}")
    return list(dict.fromkeys(found))


def nothing_twice(world: World) -> list[str]:
    """L2: `events` has each id once."""
    places: dict[str, list[Place]] = defaultdict(list)
    for row in world.events:
        places[row.event_id].append(row.place)
    return [
        f"L2 event {event_id} is {len(at)} times in events: {', '.join(map(_text, sorted(at)))}"
        for event_id, at in places.items()
        if at[1:]
    ]


def nothing_invented(sent: Sent, world: World, reading: Reading) -> list[str]:
    """L3: `events` and the log have only what was sent, as it was sent."""
    found = [f"L3 {stranger}" for stranger in reading.strangers]
    for row in world.events:
        item = sent.items.get(row.event_id)
        if item is None or item.what != "event":
            found.append(f"L3 event {row.event_id} in events ({_text(row.place)}) was never sent")
        elif row.event_id in reading.counting:
            found += [f"L3 event {row.event_id} ({_text(row.place)}): {line}" for line in _altered(row, *reading.counting[row.event_id])]
    return found


def all_accounted_for(sent: Sent, world: World, reading: Reading) -> list[str]:
    """L5: the log has no holes, and of every record there is what must be: a row, a forwarded copy, or a dead letter."""
    return [
        *_holes(world),
        *_rows(world, reading),
        *_moves(sent, reading),
        *_dead_letter_rows(world, reading),
        *_dead_letter_records(world, reading),
    ]


def _altered(row: EventRow, record: Record, item: Item) -> list[str]:
    event = item.document()
    sent_ms = instant_ms(event["occurred_at"])
    at_ms = counted_at_ms(sent_ms, record.timestamp_ms)
    pairs: dict[str, tuple[Any, Any]] = {
        "place": (record.place, row.place),
        "event_type": (event["event_type"], row.event_type),
        "occurred_at": (at_ms, row.occurred_ms),
        "received_at": (record.timestamp_ms, row.received_ms),
        "time_clamped": (at_ms != sent_ms, row.time_clamped),
        "service": (event["source"]["service"], row.service),
        "user_id": (event.get("user_id", ""), row.user_id),
        "session_id": (event.get("session_id", ""), row.session_id),
        "properties": (event["properties"], orjson.loads(row.properties)),
    }
    return [f"{name}: want {want}, got {got}" for name, (want, got) in pairs.items() if want != got]


def _holes(world: World) -> list[str]:
    offsets: dict[int, list[int]] = defaultdict(list)
    for record in world.log:
        offsets[record.partition].append(record.offset)
    found = []
    for partition, end in sorted(world.log_ends.items()):
        missing = sorted(set(range(end)) - set(offsets[partition]))
        if missing:
            found.append(f"L5 partition {partition}: {len(missing)} offsets below {end} are not in the log, the first is {missing[0]}")
    return found


def _rows(world: World, reading: Reading) -> list[str]:
    counting = {(*record.place, event_id): record for event_id, (record, _) in reading.counting.items()}
    stored = Counter(world.stored)
    missing = [f"L5 {p}/{o} counts (event {name}) and has no row in events_raw" for p, o, name in sorted(counting.keys() - stored.keys())]
    return missing + [
        f"L5 {p}/{o} (event {name}) has a row in events_raw and does not count: {_why(p, o, name, reading)}"
        for p, o, name in sorted(stored.keys() - counting.keys())
    ]


def _why(partition: int, offset: int, name: str, reading: Reading) -> str:
    if name in reading.counting:
        return f"its first copy is at {_text(reading.counting[name][0].place)}"
    return f"the log has {reading.names.get((partition, offset))} there"


def _moves(sent: Sent, reading: Reading) -> list[str]:
    found, arrived = [], Counter[tuple[str, str]]()
    for record in reading.forwarded:
        item = sent.items[reading.names[record.place]]
        arrived[item.name, record.header(MOVED_FROM) or ""] += 1
        if record.partition != item.home:
            found.append(
                f"L5 {_text(record.place)} (event {item.name}) was moved to partition {record.partition}, it belongs to {item.home}"
            )
    for record in reading.moved:
        name = reading.names[record.place]
        if not arrived[name, str(record.partition)]:
            home = sent.items[name].home
            found.append(f"L5 {_text(record.place)} (event {name}) belongs to partition {home} and was not forwarded")
    left = {(reading.names[record.place], str(record.partition)) for record in reading.moved}
    found += [
        f"L5 event {name} was forwarded from partition {source}, where it never was" for name, source in sorted(arrived.keys() - left)
    ]
    return found


def _dead_letter_rows(world: World, reading: Reading) -> list[str]:
    dead, rows = reading.dead, Counter(row.place for row in world.dead_letters)
    found = [
        f"L5 {_text(place)} ({reading.names[place]}) must be a dead letter and is {rows[place]} times in dead_letters"
        for place in sorted(dead)
        if rows[place] != 1
    ]
    for row in world.dead_letters:
        if row.place not in dead:
            what = reading.names.get(row.place, "nothing known")
            found.append(f"L5 {_text(row.place)} ({what}) is in dead_letters and is none: {row.error_code}: {row.reason}")
        elif not row.reason or not row.error_code:
            found.append(f"L5 {_text(row.place)} ({reading.names[row.place]}) is in dead_letters without a reason")
        elif (row.error_code == "event_id_conflict") != (row.place in reading.conflicts):
            found.append(f"L5 {_text(row.place)} ({reading.names[row.place]}) is in dead_letters for the wrong reason: {row.error_code}")
    return found


def _dead_letter_records(world: World, reading: Reading) -> list[str]:
    """One logical record each: written again it names the same place and has the same bytes."""
    found, seen, dead = [], set[Place](), reading.dead
    for record in world.dlq:
        place = (int(record.header("dlq.partition") or -1), int(record.header("dlq.offset") or -1))
        original = dead.get(place)
        if original is None or record.header("dlq.topic") != EVENTS:
            found.append(f"L5 dlq.v1 offset {record.offset} is about {_text(place)}, which is no dead letter")
        elif (record.key, record.value or b"") != (original.key, original.value or b""):
            found.append(f"L5 dlq.v1 offset {record.offset} has other bytes than {_text(place)}")
        seen.add(place)
    missing = sorted(dead.keys() - seen)
    return found + [f"L5 {_text(place)} ({reading.names[place]}) is not on dlq.v1" for place in missing]


def _by(copy: Copy) -> str:
    return f"Kafka at {_text(copy.landed)}" if copy.landed else f"the {copy.how}"


def _where(item: Item, reading: Reading) -> str:
    if item.name in reading.counting:
        return f"; it counts at {_text(reading.counting[item.name][0].place)}"
    places = [_text(record.place) for record in reading.moved if reading.names[record.place] == item.name]
    return f"; it is in the log on another partition only: {', '.join(places)}" if places else "; it is not in the log"


def _text(place: Place) -> str:
    return f"{place[0]}/{place[1]}"
