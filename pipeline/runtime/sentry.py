"""Errors of a role to Sentry, when a DSN is set; no personal data, no local variables, no bodies."""

from __future__ import annotations

from collections.abc import Iterable

import sentry_sdk
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.types import Event, Hint

from pipeline.runtime.logs import Redactor, secrets_of
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
        before_send=_Filter(secrets_of(settings)),
    )
    sentry_sdk.set_tag("role", role)
    return True


class _Filter:
    """One event for an error, however many log lines tell of it (Sentry's own check sees one task only); secrets are hidden."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._redactor = Redactor(secrets)
        self._last: BaseException | None = None

    def __call__(self, event: Event, hint: Hint) -> Event | None:
        error = (hint.get("exc_info") or (None, None, None))[1]
        if error is None:
            return None if event.get("logger") == "faust.worker" else self._cleaned(event)  # it tells again of a crash
        if error is self._last:
            return None
        self._last = error
        return self._cleaned(event)

    def _cleaned(self, event: Event) -> Event:
        cleaned: Event = self._redactor.clean(dict(event))
        return cleaned
