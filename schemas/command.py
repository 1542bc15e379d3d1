"""A command on `commands.v1`: what a person, or a webhook on a person's behalf, asks of the alerter.

A command is obeyed once per `command_id`, however often it is sent. The key of the record is the incident_key or the silence_id.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.alert import Digest
from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

#: Names end up in messages to people: one line, no control characters.
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class _Command(BaseModel):
    """`by` names who asks; `at` is when, on the sender's clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION
    command_id: Line
    at: Timestamp
    by: Line


class Ack(_Command):
    """Somebody works on the incident: its escalation stops. An acknowledgement is not a silence: it ends with the incident."""

    action: Literal["ack"] = "ack"
    incident_key: Digest


class Unack(_Command):
    """Take the acknowledgement back: the escalation goes on with the time that was left."""

    action: Literal["unack"] = "unack"
    incident_key: Digest


class Reassign(_Command):
    """Page `target`, a receiver by name, in place of the steps to come."""

    action: Literal["reassign"] = "reassign"
    incident_key: Digest
    target: Line


class Snooze(_Command):
    """Page nobody about the incident before `until`; who was paged is paged again then if nobody has acknowledged it."""

    action: Literal["snooze"] = "snooze"
    incident_key: Digest
    until: Timestamp


class Silence(_Command):
    """Hold back every page of `rule` until `until`; what is still open then pages. Resolutions are never held back.

    rule: its name, or `*` for all; labels: only incidents that have all of these; starts_at: null for now, later for a maintenance window.
    """

    action: Literal["silence"] = "silence"
    silence_id: Line
    rule: Line
    labels: dict[Line, Line] = {}
    starts_at: Timestamp | None = None
    until: Timestamp
    reason: Line


class Unsilence(_Command):
    """End a silence now."""

    action: Literal["unsilence"] = "unsilence"
    silence_id: Line


Command = Annotated[Ack | Unack | Reassign | Snooze | Silence | Unsilence, Field(discriminator="action")]
_COMMAND: Final[TypeAdapter[Command]] = TypeAdapter(Command)


def parse_command(value: bytes) -> Command:
    """Read one record of `commands.v1`. Raises pydantic.ValidationError."""
    return _COMMAND.validate_json(value)


def command_key(command: Command) -> str:
    """The record's key: commands on one incident, or on one silence, stay in order."""
    return command.silence_id if isinstance(command, Silence | Unsilence) else command.incident_key
