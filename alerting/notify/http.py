"""One HTTP request: what a receiver answered, and whether to ask again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

import aiohttp

from alerting.notify.receiver import Attempt
from schemas.printable import printable

#: A receiver that does not answer is asked again after so long; it never holds up another one.
TOTAL_TIMEOUT_S: Final = 10.0
#: A page of two hundred messages of Slack may be several megabytes.
_MOST_BYTES: Final = 16 << 20
_BUSY: Final = 429


@dataclass(frozen=True, slots=True)
class Answer:
    """`text` is empty when no answer came."""

    attempt: Attempt
    text: str = ""


async def request(
    session: aiohttp.ClientSession,
    method: Literal["GET", "POST"],
    url: str,
    *,
    body: Mapping[str, Any] | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask once. Redirects are not followed: an address is a secret and goes nowhere else. Nothing of it is in the reason."""
    timeout = aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S)
    try:
        async with session.request(
            method, url, json=body, params=query, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            read = bytearray()
            while not response.content.at_eof() and len(read) < _MOST_BYTES:
                read += await response.content.read(_MOST_BYTES - len(read))
            text = read.decode("utf-8", "replace")  # of the whole: a character may come in two parts
            return Answer(classify(response.status, response.headers, text), text)
    except TimeoutError:
        return Answer(Attempt("retry", reason=f"no answer within {TOTAL_TIMEOUT_S:.0f} s"))
    except aiohttp.InvalidURL:
        return Answer(Attempt("rejected", reason="the address of the receiver is not a URL"))
    except (aiohttp.ClientError, OSError) as error:
        return Answer(Attempt("retry", reason=f"no connection: {type(error).__name__}"))


async def post_json(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Attempt:
    """POST once."""
    return (await request(session, "POST", url, body=body, headers=headers)).attempt


def classify(status: int, headers: Mapping[str, str], text: str) -> Attempt:
    """Success is 2xx; 408, 429 and 5xx may be tried again; everything else the receiver will refuse again."""
    if 200 <= status < 300:
        return Attempt("delivered", status)
    if status in {408, _BUSY} or status >= 500:
        wait_s = retry_after_s(headers.get("Retry-After"), datetime.now(UTC))
        asks = f"the receiver asks to wait {wait_s:.0f} s" if wait_s else f"the receiver answers {status}"
        return Attempt("retry", status, asks, wait_s, busy=status == _BUSY)
    return Attempt("rejected", status, f"the receiver refuses: {one_line(text)}")


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


def one_line(text: str, most: int = 200) -> str:
    """Printable, without line breaks, cut."""
    return " ".join(printable(text).split())[:most]


def encoded_size_bytes(body: Mapping[str, Any]) -> int:
    """Bytes of the body as it is sent."""
    return len(json.dumps(body).encode())
