"""What a service installs to publish events: `from pipeline.sdk import Telemetry`. Needs only the base install, and loads little of it."""

from __future__ import annotations

from pipeline.sdk.asgi import TelemetryMiddleware
from pipeline.sdk.attempt import Attempt
from pipeline.sdk.limits import Limits
from pipeline.sdk.stats import Stats
from pipeline.sdk.telemetry import Telemetry

__all__ = ["Attempt", "Limits", "Stats", "Telemetry", "TelemetryMiddleware"]
