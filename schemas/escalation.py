"""An escalation event on `escalations.v1`: who is to be told about an incident, and when. Its timers are rebuilt from this topic alone.

`step_due`, `repeated` and `reassigned` page their `target`; of all others but `opened` everybody is told who was paged.
Incidents that are told of together form a group, named by the key of the incident that was there first; `notify` false: the target hears of
this event in the message of another event of the group, which carries its `members`.
Published at least once: readers keep the first record of each `escalation_id`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Alert, AlertState, Digest, Severity
from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

#: `updated`: some incidents of a group ended since it was told of; receivers that can edit show it.
EscalationEvent = Literal["opened", "step_due", "repeated", "acked", "unacked", "snoozed", "reassigned", "updated", "resolved"]
#: Members beyond these are counted, not listed.
MEMBERS_LISTED: Final = 100


class PlannedStep(BaseModel):
    """A step still to come: at `due_at` every target is paged, unless the incident is acknowledged or resolved before."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    step: Annotated[int, Field(ge=0)]
    targets: tuple[str, ...]
    due_at: Timestamp


class Member(BaseModel):
    """An incident of a group as it was when the group was told of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    incident_key: Digest
    rule: str
    severity: Severity
    state: AlertState
    labels: dict[str, str]
    summary: str


class Escalation(BaseModel):
    """One event. Of several records with the same escalation_id readers keep the first.

    event: `step_due`, `repeated` and `reassigned` page `target`, once, unless `notify` is false: then the message of another event of the
    group tells it. One that a reader does not know pages nobody.

    plan: set in `opened`, `unacked` and `snoozed`: the steps to come, which replace every earlier plan of the incident.
    group_key: the incident_key of the group's first incident, its own when it is alone; members: of the group, at most MEMBERS_LISTED,
    worst first, of `members_total`. until: the end of a snooze.
    step, due_at: of the step that came due, else null. actor: who acted, `alerter` for timers. command_id: the command obeyed.
    alert: the incident as it was, whole, so that a notification needs no other topic.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION
    escalation_id: Digest
    incident_key: Digest
    rule: Annotated[str, Field(min_length=1)]
    severity: Severity
    event: EscalationEvent
    step: int | None
    target: str | None
    due_at: Timestamp | None
    at: Timestamp
    actor: str
    command_id: str | None
    reason: str
    plan: tuple[PlannedStep, ...]
    alert: Alert
    group_key: Digest | None = None
    notify: bool = True
    members: Annotated[tuple[Member, ...], Field(max_length=MEMBERS_LISTED)] = ()
    members_total: Annotated[int, Field(ge=0)] = 0
    until: Timestamp | None = None


def parse_escalation(value: bytes) -> Escalation:
    """Read one record of `escalations.v1`. Raises pydantic.ValidationError."""
    return Escalation.model_validate_json(value)
