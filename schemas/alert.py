"""An alert on `alerts.v1`: the whole state of one incident at each of its transitions, with the evidence to recompute it.

One incident is one `incident_key`. A transition is published at least once: readers keep the first record of each `transition_id`.
Open incidents are published again daily, unchanged, so that a reader that starts late needs one day of the topic.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.timestamps import Timestamp

SCHEMA_VERSION: Final = 1

Severity = Literal["critical", "high", "medium", "low"]
Verdict = Literal["true", "false", "unknown"]
#: `acknowledged`: fires, and somebody works on it; `no_data`: fires, and nothing has come in since that could say otherwise;
#: `retro_*`: the window had ended more than 15 min before it was judged; recorded, pages nobody.
AlertState = Literal["firing", "acknowledged", "no_data", "resolved", "retro_fired", "retro_cleared"]
Unit = Literal["ratio", "ms", "rating", "count"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

OPEN_STATES: Final[frozenset[AlertState]] = frozenset({"firing", "acknowledged", "no_data", "retro_fired"})


class Gate(BaseModel):
    """A condition on the evidence, and whether it let the verdict pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    passed: bool
    detail: str


class Term(BaseModel):
    """One comparison of the rule's condition: value = numerator / denominator, both over the window; value is null without events.

    An error rate is failed events over all events; a mean time is the sum of milliseconds over the number of events; a quantile or a
    count has the number of events in both. `baseline` is what `value` is compared with where the comparison is with usual times: then
    `threshold` is the ratio by which it may differ, and `unit` is that of `value`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: str
    verdict: Verdict
    value: float | None
    threshold: float
    unit: Unit
    numerator: float
    denominator: float
    baseline: float | None = None


class ErrorClass(BaseModel):
    """Failed events of the window with one `error_type` ('' when they name none)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    error_type: str
    count: Annotated[int, Field(ge=0)]


class Suspect(BaseModel):
    """A release, flag variant or provider whose events fail more often than the others': lift = its error rate over that of the rest.

    `value` is the release, `flag=variant`, or the provider; lift is null when nothing of the rest fails.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["release", "flag", "provider"]
    value: str
    errors: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]
    lift: float | None


class Context(BaseModel):
    """What was found about the failing events when the alert fired, worst first. `note` says why something could not be found, else ''."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    error_classes: tuple[ErrorClass, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    trace_ids: tuple[str, ...] = ()
    note: str = ""


class Alert(BaseModel):
    """State of an incident after a transition. `value` to `denominator` are those of `term`, the comparison that decided.

    transition_id: of several records with the same one readers keep the first, whatever came in between.
    state: `resolved` and `retro_cleared` say that the incident is over, every other one, also one that a reader does not know, that it
    is not.
    at: when the alerter decided; since and judged_to: event time at which the condition became true, and up to which events were
    judged; watermark: the lowest of all partitions' effective watermarks, null while some partition has said nothing.
    sql: returns the same numerator, denominator and value from ClickHouse, by the offsets that had been read (empty for rules about
    the pipeline itself); window_sql: the same window once all its panes are closed (empty where there is none).
    labels: the rule's own and those of the series; owner: the team the rule belongs to; context: set once it fires.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION
    transition_id: Digest
    incident_key: Digest
    rule: Annotated[str, Field(min_length=1)]
    severity: Severity
    state: AlertState
    at: Timestamp
    since: Timestamp
    condition: str
    term: str
    value: float
    threshold: float
    unit: Unit
    numerator: float
    denominator: float
    window_from: Timestamp
    window_to: Timestamp
    judged_to: Timestamp
    watermark: Timestamp | None
    labels: dict[str, str]
    terms: tuple[Term, ...]
    gates: tuple[Gate, ...]
    sql: str
    window_sql: str
    summary: str
    reason: str
    runbook: str
    channels: tuple[str, ...]
    owner: str = ""
    context: Context | None = None


def parse_alert(value: bytes) -> Alert:
    """Read one record of `alerts.v1`. Raises pydantic.ValidationError."""
    return Alert.model_validate_json(value)
