"""A delivery on `deliveries.v1`: the intent to notify one receiver, written before the first attempt, and what came of each attempt."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Digest
from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

DeliveryAction = Literal["trigger", "acknowledge", "resolve"]
#: `intended` comes first; `retrying` may follow, once per failed attempt; `delivered`, `rejected` (the receiver refuses it for good),
#: `gave_up` (retries used up) and `stale` (acknowledged or resolved before it was sent) are final.
DeliveryOutcome = Literal["intended", "retrying", "delivered", "rejected", "gave_up", "stale"]

FINAL_OUTCOMES: Final[frozenset[DeliveryOutcome]] = frozenset({"delivered", "rejected", "gave_up", "stale"})


class Delivery(BaseModel):
    """One line in the life of a notification; `delivery_id` belongs to one escalation event and one receiver.

    attempt: 0 for the intent, then 1, 2, …; http_status: null when no answer came; reason: one line without addresses or secrets.
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
    http_status: int | None
    reason: str
    resent: bool


def parse_delivery(value: bytes) -> Delivery:
    """Read one record of `deliveries.v1`. Raises pydantic.ValidationError."""
    return Delivery.model_validate_json(value)
