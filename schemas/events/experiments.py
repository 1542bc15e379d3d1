"""Feature flags and experiments."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from schemas.envelope import CLOSED, OPEN, Envelope, Name


@with_config(OPEN)
class FeatureExposureProperties(TypedDict):
    """Somebody was shown `variant` of `flag`."""

    flag: Name
    variant: Name


@with_config(CLOSED)
class FeatureExposure(Envelope):
    event_type: Literal["feature_exposure"]
    properties: FeatureExposureProperties
