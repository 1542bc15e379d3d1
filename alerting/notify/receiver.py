"""What a notification is, what became of an attempt to deliver it, and the one HTTP request an attempt is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, Protocol

import aiohttp
import structlog
from pydantic import SecretStr

from schemas.delivery import DeliveryAction
from schemas.escalation import Escalation

log = structlog.get_logger(__name__)

#: A receiver that does not answer is asked again after so long; it never holds up another one.
TOTAL_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Notification:
    """Tell `receiver` about `event`. `delivery_id` is the idempotency key.

    resent: an earlier process may have sent it already and died before it could write that down.
    """

    delivery_id: str
    receiver: str
    action: DeliveryAction
    event: Escalation
    resent: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """`retry`: the same request may succeed later, not before `retry_after_s` if the receiver said so. `reason` is fit for a log."""

    outcome: Literal["delivered", "rejected", "retry"]
    http_status: int | None = None
    reason: str = ""
    retry_after_s: float = 0.0


class Receiver(Protocol):
    """One place that can be told. `send` makes one attempt, takes at most TOTAL_TIMEOUT_S, and does not raise for what may happen."""

    async def send(self, notification: Notification) -> Attempt: ...


class LogReceiver:
    """A receiver without address: its notifications are JSON lines in the log."""

    async def send(self, notification: Notification) -> Attempt:
        alert = notification.event.alert
        log.info(
            "notification",
            receiver=notification.receiver,
            action=notification.action,
            incident_key=alert.incident_key,
            rule=alert.rule,
            state=alert.state,
            summary=alert.summary,
            why=notification.event.reason,
        )
        return Attempt("delivered", reason="written to the log, the receiver has no address")


async def post_json(session: aiohttp.ClientSession, url: SecretStr, body: Mapping[str, Any]) -> Attempt:
    """POST once. Redirects are not followed: an address is a secret and goes nowhere else. Nothing of it is in the reason."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S)
    try:
        async with session.post(url.get_secret_value(), json=body, timeout=timeout, allow_redirects=False) as response:
            text = (await response.content.read(1000)).decode("utf-8", "replace")
            return classify(response.status, response.headers, text)
    except TimeoutError:
        return Attempt("retry", reason=f"no answer within {TOTAL_TIMEOUT_S:.0f} s")
    except aiohttp.InvalidURL:
        return Attempt("rejected", reason="the address of the receiver is not a URL")
    except (aiohttp.ClientError, OSError) as error:
        return Attempt("retry", reason=f"no connection: {type(error).__name__}")


def classify(status: int, headers: Mapping[str, str], text: str) -> Attempt:
    """Success is 2xx; 408, 429 and 5xx may be tried again; everything else the receiver will refuse again."""
    if 200 <= status < 300:
        return Attempt("delivered", status)
    if status in {408, 429} or status >= 500:
        wait_s = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))
        asks = f"the receiver asks to wait {wait_s:.0f} s" if wait_s else f"the receiver answers {status}"
        return Attempt("retry", status, asks, wait_s)
    return Attempt("rejected", status, f"the receiver refuses: {_one_line(text)}")


def retry_after_s(value: str | None, now: datetime) -> float:
    """Seconds from a Retry-After header, which has seconds or a date; 0 when there is none that can be read."""
    if value is None:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def encoded_size_bytes(body: Mapping[str, Any]) -> int:
    """Bytes of the body as it is sent."""
    return len(json.dumps(body).encode())
