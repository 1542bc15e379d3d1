"""Panes of menus by SQL from the view `events`, written down independently of the fold, beside those that are stored."""

from __future__ import annotations

from typing import Any

from tests.integration.worker.stack import Stack

_LABELS = "JSONExtractString(properties, 'provider') AS provider, JSONExtractString(properties, 'outcome') AS outcome"


def from_events(stack: Stack, provider: str) -> dict[Any, Any]:
    """(partition, start, outcome) → (events, sum in millionths)."""
    rows = stack.query(
        f"SELECT kafka_partition AS p, toUnixTimestamp(occurred_at) - toUnixTimestamp(occurred_at) % 10 AS start, {_LABELS}, count() AS n, "
        "sum(toInt64(round(1000000 * JSONExtractFloat(properties, 'generation_time_ms')))) AS total FROM events "
        f"WHERE event_type = 'menu_generated' AND provider = '{provider}' GROUP BY p, start, provider, outcome"
    )
    return {(row["p"], row["start"], row["outcome"]): (row["n"], row["total"]) for row in rows}


def from_panes(stack: Stack, provider: str) -> dict[Any, Any]:
    """The same as stored; panes without events left out."""
    rows = stack.query(
        "SELECT source_partition AS p, toUnixTimestamp(toDateTime(start)) AS start, labels['outcome'] AS outcome, count, sum AS total "
        f"FROM panes WHERE metric = 'menu_generation' AND labels['provider'] = '{provider}' AND count > 0"
    )
    return {(row["p"], row["start"], row["outcome"]): (row["count"], row["total"]) for row in rows}


def menus(stack: Stack, provider: str) -> tuple[int, int]:
    """How many menus the panes have, and how many the events."""
    stored, right = (sum(n for n, _ in side(stack, provider).values()) for side in (from_panes, from_events))
    return stored, right
