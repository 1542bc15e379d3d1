"""Those who make the menus: each attempt, their circuit breakers, the queue in front of them."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, Strict, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, DurationMs, Envelope, Identifier, Name
from schemas.units import WaitMs

CircuitState = Literal["closed", "open", "half_open"]


@with_config(OPEN)
class ProviderAttemptProperties(TypedDict):
    """One provider was asked for a menu, as number `position` of the chain, or was not because its breaker was open or it was denied.

    `position` and `latency_ms` are absent where the sender did not know them, as in the seed's menu_generation_success.
    """

    provider: Name
    position: NotRequired[Annotated[int, Strict(), Field(ge=0, le=100)] | None]
    outcome: Literal["success", "error", "timeout", "breaker_open", "denied"]
    latency_ms: NotRequired[DurationMs | None]
    error_type: NotRequired[Name | None]


@with_config(OPEN)
class CircuitStateChangedProperties(TypedDict):
    """A provider's circuit breaker changed its state."""

    provider: Name
    from_state: CircuitState
    to_state: CircuitState


@with_config(OPEN)
class QueueJobProperties(TypedDict):
    """One attempt of a job began or ended: exhausted is the last one that failed. `wait_ms` before it, `duration_ms` of it."""

    queue: Name
    job_id: Identifier
    attempt: Annotated[int, Strict(), Field(ge=0, le=1_000)]
    outcome: Literal["started", "retried", "completed", "exhausted"]
    wait_ms: NotRequired[WaitMs | None]
    duration_ms: NotRequired[DurationMs | None]


@with_config(CLOSED)
class ProviderAttempt(Envelope):
    event_type: Literal["provider_attempt"]
    properties: ProviderAttemptProperties


@with_config(CLOSED)
class CircuitStateChanged(Envelope):
    event_type: Literal["circuit_state_changed"]
    properties: CircuitStateChangedProperties


@with_config(CLOSED)
class QueueJob(Envelope):
    event_type: Literal["queue_job"]
    properties: QueueJobProperties
