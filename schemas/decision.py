"""A decision on `decisions.v1`: why a rule's verdict changed, or why somebody was not told; what was decided and did not page is here."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Digest, Gate, Term, Verdict
from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

DecisionKind = Literal["verdict", "suppression"]


class Decision(BaseModel):
    """`kind` verdict: the verdict or a gate of `rule` became another than `previous`; suppression: a due notification was held back.

    The window is null for a suppression. Published at least once: readers keep the first record of each `decision_id`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION
    decision_id: Digest
    rule: Annotated[str, Field(min_length=1)]
    kind: DecisionKind
    at: Timestamp
    verdict: Verdict
    previous: Verdict | None
    reason: str
    incident_key: Digest | None
    window_from: Timestamp | None
    window_to: Timestamp | None
    judged_to: Timestamp | None
    terms: tuple[Term, ...]
    gates: tuple[Gate, ...]


def parse_decision(value: bytes) -> Decision:
    """Read one record of `decisions.v1`. Raises pydantic.ValidationError."""
    return Decision.model_validate_json(value)
