"""What services say of themselves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, DurationMs, Envelope, Name, Path


@with_config(OPEN)
class ApiRequestProperties(TypedDict):
    """One HTTP request answered by a service; `route` is the path template, not the path."""

    method: Name
    route: Path
    status_code: Annotated[int, Strict(), Field(ge=100, le=599)]
    duration_ms: DurationMs


@with_config(CLOSED)
class ApiRequest(Envelope):
    event_type: Literal["api_request"]
    properties: ApiRequestProperties
