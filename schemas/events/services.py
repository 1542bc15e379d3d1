"""What services say of themselves and of those they call."""

from __future__ import annotations

from typing import Literal, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, DurationMs, Envelope, Name, Path, Text
from schemas.units import StatusCode


@with_config(OPEN)
class ApiRequestProperties(TypedDict):
    """One HTTP request answered by a service; `route` is the path template, not the path."""

    method: Name
    route: Path
    status_code: StatusCode
    duration_ms: DurationMs


@with_config(OPEN)
class ExternalApiCallProperties(TypedDict):
    """One HTTP request answered by somebody else's service."""

    api: Name
    status_code: StatusCode
    duration_ms: DurationMs


@with_config(OPEN)
class HealthCheckProperties(TypedDict):
    """One look at one thing a service needs, such as its database."""

    check: Name
    status: Literal["pass", "fail"]
    latency_ms: DurationMs
    detail: NotRequired[Text | None]


@with_config(CLOSED)
class ApiRequest(Envelope):
    event_type: Literal["api_request"]
    properties: ApiRequestProperties


@with_config(CLOSED)
class ExternalApiCall(Envelope):
    event_type: Literal["external_api_call"]
    properties: ExternalApiCallProperties


@with_config(CLOSED)
class HealthCheck(Envelope):
    event_type: Literal["health_check"]
    properties: HealthCheckProperties
