"""Feature flags and experiments."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, DurationMs, Envelope, Name


@with_config(OPEN)
class FeatureExposureProperties(TypedDict):
    """Somebody was shown `variant` of `flag`."""

    flag: Name
    variant: Name


@with_config(OPEN)
class FeaturePerformanceProperties(TypedDict):
    """How long `variant` of `flag` took in the browser, from start to end as it measures itself."""

    flag: Name
    variant: Name
    duration_ms: DurationMs


@with_config(CLOSED)
class FeatureExposure(Envelope):
    event_type: Literal["feature_exposure"]
    properties: FeatureExposureProperties


@with_config(CLOSED)
class FeaturePerformance(Envelope):
    event_type: Literal["feature_performance"]
    properties: FeaturePerformanceProperties
