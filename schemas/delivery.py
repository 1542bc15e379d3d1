"""A delivery on `deliveries.v1`: the intent to notify one receiver, written before the first attempt, and what came of each attempt."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Digest
from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

#: `update`: something about an incident that has been told of; only receivers that can edit hear it.
DeliveryAction = Literal["trigger", "acknowledge", "resolve", "update"]
#: `intended` comes first; `retrying` may follow, once per failed attempt; `delivered`, `rejected` (the receiver refuses it for good),
#: `gave_up` (retries used up), `failed_over` (another receiver is told instead: `failover`) and `stale` (acknowledged or resolved before it
#: was sent) are final.
DeliveryOutcome = Literal["intended", "retrying", "delivered", "rejected", "gave_up", "failed_over", "stale"]

FINAL_OUTCOMES: Final[frozenset[DeliveryOutcome]] = frozenset({"delivered", "rejected", "gave_up", "failed_over", "stale"})


class Delivery(BaseModel):
    """One line in the life of a notification; `delivery_id` belongs to one escalation event and one receiver.

    attempt: 0 for the intent, then 1, 2, …; http_status: null when no answer came; reason: one line without addresses or secrets.
    group_key: the group the message is about; failover: the receiver that is told instead, or for which this one stands in: `reason` says
    which; message_ref: where the message is, in the receiver's own terms, so that it can be edited.
    resent: an earlier process may already have sent it and was gone before the outcome was written.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION
    delivery_id: Digest
    incident_key: Digest
    rule: Annotated[str, Field(min_length=1)]
    receiver: Annotated[str, Field(min_length=1)]
    action: DeliveryAction
    step: int | None
    intent_at: Timestamp
    outcome: DeliveryOutcome
    attempt: Annotated[int, Field(ge=0)]
    at: Timestamp
    http_status: Annotated[int, Field(ge=100, le=599)] | None
    reason: str
    resent: bool
    group_key: Digest | None = None
    failover: str | None = None
    message_ref: str | None = None


def parse_delivery(value: bytes) -> Delivery:
    """Read one record of `deliveries.v1`. Raises pydantic.ValidationError."""
    return Delivery.model_validate_json(value)
