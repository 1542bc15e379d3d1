"""One POST to the gateway over a connection that is kept open, and what its answer means."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from ssl import SSLContext, create_default_context
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import ConfigurationError

_PATH: Final = "/v1/events"
_USER_AGENT: Final = "nutricoach-telemetry-python"
_COMPRESS_FROM_BYTES: Final = 1_024
_GZIP: Final = 31
_MAX_ANSWER_BYTES: Final = 8 << 20
_AGAIN: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Complaint:
    """The gateway's about the event at `index` of the batch: the first field and what is wrong with it."""

    index: int
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Taken:
    """202: Kafka has all events but the rejected ones; those with a warning are taken too."""

    rejected: Sequence[Complaint] = ()
    warnings: Sequence[Complaint] = ()


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The same request may succeed later, `after_s` being what the server asked for; `status` is 0 when there was no answer."""

    reason: str
    status: int = 0
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """This request will never succeed."""

    status: int
    message: str


Outcome = Taken | TryAgain | Refused


@dataclass(slots=True)
class Transport:
    """Used by one thread at a time.

    Raises:
        ConfigurationError: the URL or the write key is none.
    """

    url: str
    write_key: str | None = field(repr=False)
    clock: Clock
    _connection: HTTPConnection | None = None
    _path: str = ""
    _tls: SSLContext | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        try:
            # This loads the codec of names, too: a process that forks while its thread loads it leaves the child half of it, for good.
            is_http = parts.scheme in ("http", "https") and bool(parts.hostname and parts.hostname.encode("idna")) and parts.port != 0
            is_usable = is_http and self.url.isascii() and self.url.isprintable() and " " not in self.url
        except ValueError:
            is_usable = False
        if not is_usable:
            raise ConfigurationError(f"{self.url!r} is no address of a gateway; give one such as http://gateway:8100")
        if self.write_key is not None and not (self.write_key.isascii() and self.write_key.isprintable()):
            raise ConfigurationError("the write key has characters that no HTTP header takes")
        self._path = parts.path.rstrip("/") + _PATH
        if parts.scheme == "https":  # now: reading the certificates takes long and holds up every thread
            self._tls = create_default_context()

    def post(self, values: Sequence[bytes], timeout_s: float) -> Outcome:
        """Send events, one JSON object each. Never raises for what the network or the other side does."""
        body = b"\n".join(values)
        headers = {"Content-Type": "application/x-ndjson", "User-Agent": _USER_AGENT}
        if len(body) >= _COMPRESS_FROM_BYTES:
            body, headers["Content-Encoding"] = zlib.compress(body, 1, _GZIP), "gzip"
        if self.write_key is not None:
            headers["Authorization"] = f"Bearer {self.write_key}"
        was_open = self._connection is not None and self._connection.sock is not None
        try:
            return self._exchange(body, headers, timeout_s)
        except (ConnectionError, HTTPException) as error:
            self.close()
            if not was_open:
                return TryAgain(_describe(error))
        except OSError as error:  # also TimeoutError, and what is wrong with names and certificates
            self.close()
            return TryAgain(_describe(error))
        # Only now is it seen that the server had closed the connection meanwhile; that says nothing about the next one.
        try:
            return self._exchange(body, headers, timeout_s)
        except (OSError, HTTPException) as error:
            self.close()
            return TryAgain(_describe(error))

    def forget(self) -> None:
        """After a fork: the connection is the parent's. Only the child's descriptor is closed; its thread may have held the rest."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.sock is not None:
            os.close(connection.sock.detach())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, body: bytes, headers: dict[str, str], timeout_s: float) -> Outcome:
        connection = self._connection = self._connection or self._connect()
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        # The clock of each attempt: a retry with an old time would look like a clock that is slow.
        connection.request("POST", f"{self._path}?sent_at={self.clock.now_ms()}", body, headers)
        response = connection.getresponse()
        text = response.read(_MAX_ANSWER_BYTES)
        if not response.isclosed():
            self.close()
        return self._outcome(response, text)

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if self._tls is not None:
            return HTTPSConnection(parts.hostname, parts.port, context=self._tls)
        return HTTPConnection(parts.hostname, parts.port)

    def _outcome(self, response: HTTPResponse, text: bytes) -> Outcome:
        status = response.status
        answer = _json(text)
        if status == 202:
            return Taken(_complaints(answer, "rejected"), _complaints(answer, "warnings"))
        message = f"{status} {answer.get('message') or response.reason}"
        if status >= 500 or status in _AGAIN:
            return TryAgain(message, status, _retry_after_s(response.headers.get("Retry-After")))
        if location := response.headers.get("Location"):
            message = f"{message}, at {location}"
        return Refused(status, message)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _json(text: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _complaints(answer: dict[str, Any], name: str) -> list[Complaint]:
    return [
        Complaint(one["index"], str(error.get("field", "")), str(error.get("message", "")))
        for one in answer.get(name) or ()
        for error in (one.get("errors") or [{}])[:1]
    ]


def _retry_after_s(header: str | None) -> float | None:
    """RFC 9110: seconds or a date; None for anything else."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
