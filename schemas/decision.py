"""A decision on `decisions.v1`: why a rule's verdict changed, or why somebody was not told; what was decided and did not page is here.

Also what the alerter was told by ClickHouse (`reading`), so that a backtest decides alike, and that it is alive (`heartbeat`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alert import Digest, Gate, Term, Verdict
from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

DecisionKind = Literal["verdict", "minute", "suppression", "reading", "heartbeat"]
#: Of a rule and series: `pending` is a condition that is true, and not yet for as long as the rule asks.
SeriesState = Literal["inactive", "pending", "firing", "acknowledged", "no_data", "retro_fired"]


class ReadingRow(BaseModel):
    """One answer of ClickHouse: value = numerator / denominator of the series with these labels; null without events."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    labels: dict[str, str] = {}
    numerator: float
    denominator: float
    value: float | None


class Reading(BaseModel):
    """The answer to the question `question_id` about the window that ends at `window_to`, as it stood at `read_at`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    question_id: Annotated[str, Field(min_length=1)]
    window_from: Timestamp
    window_to: Timestamp
    read_at: Timestamp
    rows: tuple[ReadingRow, ...]


class Decision(BaseModel):
    """`kind` verdict: the verdict or a gate of `rule` became another than `previous`; suppression: a due notification was held back;
    minute: how the rule stood, once a minute of event time, by its worst series; reading: what ClickHouse answered to a question of the
    rules (`rule` names the question); heartbeat: every 15 s while an alerter acts.

    labels: of the series; series: how many series of the rule are in which state (of a minute). The window is null for a suppression.
    Published at least once: readers keep the first record of each `decision_id`.
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
    labels: dict[str, str] = {}
    state: SeriesState | None = None
    series: dict[SeriesState, Annotated[int, Field(ge=0)]] = {}
    reading: Reading | None = None


def parse_decision(value: bytes) -> Decision:
    """Read one record of `decisions.v1`. Raises pydantic.ValidationError."""
    return Decision.model_validate_json(value)
