"""Errors of a role to Sentry, when a DSN is set; no personal data, no local variables, no bodies."""

from __future__ import annotations

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger

from pipeline.runtime.settings import Settings


def init_sentry(settings: Settings, role: str) -> bool:
    """Send what is logged as an error, with its stack, to the DSN of the settings. Call it inside the running loop.

    Returns:
        Whether a DSN is set; without one nothing is started and nothing is sent.
    """
    if settings.sentry_dsn is None:
        return False
    ignore_logger("aiokafka*")  # it repeats itself while the broker is away, and the runtime reports what it means
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        traces_sample_rate=None,
        auto_enabling_integrations=False,
    )
    sentry_sdk.set_tag("role", role)
    return True
