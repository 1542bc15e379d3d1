"""Everything else, by Apprise: about a hundred services by an address each. An extra, since it needs much: `pip install …[apprise]`."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any, Final

from pydantic import SecretStr

from alerting.notify import http, words
from alerting.notify.receiver import BEGIN_ACK_AND_END, Attempt, Notification

#: https://github.com/caronc/apprise/wiki: an Apprise address; its whole text is a secret.
_TYPES: Final = {"trigger": "failure", "acknowledge": "warning", "resolve": "success", "update": "info"}


def is_installed() -> bool:
    return importlib.util.find_spec("apprise") is not None


def check_address(url: str) -> None:
    """Raises ValueError, without the address, when Apprise knows no service of that kind."""
    _load(url)


class AppriseReceiver:
    """Apprise says only whether it worked: every failure may pass."""

    hears = BEGIN_ACK_AND_END

    def __init__(self, url: SecretStr) -> None:
        self._service = _load(url.get_secret_value())

    async def send(self, notification: Notification) -> Attempt:
        telling = self._service.async_notify(
            title=words.subject(notification), body=words.body(notification), notify_type=_TYPES[notification.action]
        )
        try:
            done = await asyncio.wait_for(telling, http.TOTAL_TIMEOUT_S)
        except TimeoutError:
            return Attempt("retry", reason=f"no answer within {http.TOTAL_TIMEOUT_S:.0f} s")
        return Attempt("delivered") if done else Attempt("retry", reason="apprise could not deliver it")


def _load(url: str) -> Any:
    import apprise  # noqa: PLC0415 - an extra

    service = apprise.Apprise()
    if not service.add(url):
        raise ValueError("not an address that Apprise knows")
    return service
