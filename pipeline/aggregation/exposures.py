"""Who saw which variant first: a set of (subject, flag) that is only ever minimised, so repeats and replays change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Exposure(NamedTuple):
    """The smaller of two exposures of one (subject, flag) is the first: by time, ties by event id."""

    first_at_ms: int
    event_id: str
    variant: str


ExposureKey = tuple[str, str]


def exposure(event: Mapping[str, Any], occurred_ms: int) -> tuple[ExposureKey, Exposure] | None:
    """The fact a `feature_exposure` states; None when it names neither user nor session."""
    subject = event.get("user_id") or event.get("session_id")
    if not subject:
        return None
    properties = event["properties"]
    return (subject, properties["flag"]), Exposure(occurred_ms, event["event_id"], properties["variant"])
