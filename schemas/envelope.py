"""What every event has around its properties.

TypedDicts, not models: a chunk of events is validated in one call and dropped again, and dicts cost a third of model objects.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, Strict, StringConstraints, with_config
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

#: Unknown properties are kept as they came: a newer publisher's field is stored even where this version has no name for it.
OPEN: Final = ConfigDict(extra="allow", allow_inf_nan=False)
CLOSED: Final = ConfigDict(extra="ignore", allow_inf_nan=False)

EventId = Annotated[
    str,
    StringConstraints(to_lower=True, pattern=r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"),
]
Name = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=100)]
Identifier = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, Strict(), StringConstraints(max_length=8_192)]
Path = Annotated[str, Strict(), StringConstraints(min_length=1, max_length=2_048)]

FIRST_INSTANT: Final = datetime(1990, 1, 1, tzinfo=UTC)
END_OF_TIME: Final = datetime(2101, 1, 1, tzinfo=UTC)
OccurredAt = Annotated[AwareDatetime, Strict(), Field(ge=FIRST_INSTANT, lt=END_OF_TIME)]

MAX_FLAGS: Final = 64


def _few_texts(flags: Any) -> Any:
    """Refused as a whole before each is looked at: every bad one of 100,000 would have an error of its own."""
    if isinstance(flags, dict):
        if len(flags) > MAX_FLAGS:
            raise PydanticCustomError("too_long", "At most {most} flags are taken, not {count}", {"most": MAX_FLAGS, "count": len(flags)})
        if not all(isinstance(variant, str) for variant in flags.values()):
            raise PydanticCustomError("string_type", "Every flag's variant should be a valid string")
    return flags


Flags = Annotated[
    dict[Name, Annotated[str, Strict(), StringConstraints(max_length=200)]], Field(max_length=MAX_FLAGS), BeforeValidator(_few_texts)
]

MAX_BOT_REASONS: Final = 8


def _few_names(reasons: Any) -> Any:
    """Likewise: only so many are looked at."""
    return reasons[: MAX_BOT_REASONS + 1] if isinstance(reasons, list) else reasons


BotReasons = Annotated[list[Name], Field(max_length=MAX_BOT_REASONS), BeforeValidator(_few_names)]

#: Longest duration that is believed: one hour.
DurationMs = Annotated[float, Strict(), Field(ge=0, le=3_600_000)]


@with_config(CLOSED)
class Source(TypedDict):
    """Who says so."""

    service: Name
    version: NotRequired[Name | None]
    environment: Name


@with_config(CLOSED)
class Trace(TypedDict):
    """W3C trace context, hexadecimal."""

    trace_id: Annotated[str, Strict(), StringConstraints(max_length=64)]
    span_id: NotRequired[Annotated[str, Strict(), StringConstraints(max_length=32)] | None]


@with_config(CLOSED)
class Envelope(TypedDict):
    """Fields common to all events; each event type adds `event_type` and `properties`.

    `sent_at` is the sender's clock when it sent the event: with it a wrong clock is put right. `bot_reasons` says why the event is a
    bot's: the gateway sets it, and takes away what a client writes there; who writes to Kafka is believed.
    """

    event_id: EventId
    schema_version: Literal[1]
    occurred_at: OccurredAt
    source: Source
    user_id: NotRequired[Identifier | None]
    session_id: NotRequired[Identifier | None]
    trace: NotRequired[Trace | None]
    flags: NotRequired[Flags | None]
    sent_at: NotRequired[OccurredAt | None]
    bot_reasons: NotRequired[BotReasons | None]
