"""What browsers measure and see."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, Field, Strict, with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, Envelope, Identifier, Name, Path
from schemas.web_vitals import check_score


@with_config(OPEN)
class WebVitalProperties(TypedDict):
    """One report of the web-vitals library; `value` is in ms, for CLS a score of at most 100. FID is what older versions have for INP.

    What counts is the rating that `schemas.web_vitals` gives the value; `rating` is what the sender says.
    """

    name: Literal["LCP", "INP", "CLS", "FCP", "TTFB", "FID"]
    value: Annotated[float, Strict(), Field(ge=0, le=3_600_000)]
    rating: Literal["good", "needs-improvement", "poor"]
    page: Path
    metric_id: NotRequired[Identifier | None]
    delta: NotRequired[Annotated[float, Strict()] | None]
    navigation_type: NotRequired[Name | None]
    device: NotRequired[Name | None]


@with_config(OPEN)
class UxSignalProperties(TypedDict):
    """Somebody met an error on `page`, or clicked in vain; `replay_id` is the recording of it."""

    kind: Literal["error_encountered", "rage_click", "dead_click"]
    page: Path
    replay_id: NotRequired[Identifier | None]


@with_config(CLOSED)
class WebVital(Envelope):
    event_type: Literal["web_vital"]
    properties: Annotated[WebVitalProperties, AfterValidator(check_score)]


@with_config(CLOSED)
class UxSignal(Envelope):
    event_type: Literal["ux_signal"]
    properties: UxSignalProperties
