"""What gateways said they had accepted, against the log: every claim is exact, and nothing of what was claimed is missing.

A gateway's own events are sent by nobody else: they are taken from the log, where they are the only ones about accepted events that no
gateway marked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import orjson

from tests.chaos.expected_series import instant_ms
from tests.chaos.oracle_world import Record, World
from tests.chaos.sent import Item, Sent

ACCEPTED_BY: Final = "accepted_by"
_MINUTE_MS: Final = 60_000


def with_claims(sent: Sent, log: Iterable[Record]) -> Sent:
    """What was sent, and what the gateways said of it."""
    claims = [
        Item(str(event["event_id"]), "event", record.key or b"", record.value, "a gateway's own") for record, event in _claims(sent, log)
    ]
    return replace(sent, items=sent.items | {claim.name: claim for claim in claims})


def claims_true(sent: Sent, world: World) -> list[str]:
    """L8: a claim is the number of the records that the gateway marked in that minute, and the warehouse misses none of them."""
    marked = Counter((record.header(ACCEPTED_BY) or "", record.timestamp_ms // _MINUTE_MS) for record in world.log)
    claimed = Counter[tuple[str, int]]()
    for _, event in {event["event_id"]: (record, event) for record, event in _claims(sent, world.log)}.values():
        properties = event["properties"]
        claimed[properties["source"], instant_ms(properties["minute"]) // _MINUTE_MS] += properties["count"]
    found = [
        f"L8 gateway {source} claims {count} records of minute {minute}, the log has {marked[source, minute]}"
        for (source, minute), count in sorted(claimed.items())
        if count != marked[source, minute]
    ]
    judged = {(source, minute): (accepted, missing) for source, minute, accepted, missing in world.accepted_and_stored}
    for key, count in sorted(claimed.items()):
        if judged.get(key) != (count, 0):
            found.append(f"L8 accepted_and_stored says (accepted, missing) = {judged.get(key)} of {key}, it is ({count}, 0)")
    return found + [f"L8 accepted_and_stored has {key} as accepted, nobody said so" for key in sorted(_told(world) - claimed.keys())]


def _told(world: World) -> set[tuple[str, int]]:
    return {(source, minute) for source, minute, accepted, _ in world.accepted_and_stored if accepted is not None}


def _claims(sent: Sent, log: Iterable[Record]) -> Iterator[tuple[Record, dict[str, Any]]]:
    for record in log:
        if record.header(ACCEPTED_BY) is None and b'"accepted_count"' in (record.value or b""):
            event: dict[str, Any] = orjson.loads(record.value or b"")
            if event["event_id"] not in sent.items or sent.items[event["event_id"]].why == "a gateway's own":
                yield record, event
