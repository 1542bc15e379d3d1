"""Who may write: write keys, the hosts that need them, and the web origins whose pages may read the answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from pipeline.runtime.errors import ConfigurationError, Reject
from pipeline.runtime.settings import Gateway

PREFLIGHT_MAX_AGE_S = 600


def check_exposure(settings: Gateway) -> None:
    """Raises ConfigurationError when anybody on the network could write, or when a promise about user ids would not be kept."""
    if not settings.write_keys and not is_loopback(settings.host):
        raise ConfigurationError(f"the gateway on {settings.host} would take events from anybody: set TELEMETRY_GATEWAY__WRITE_KEYS")
    if settings.pepper is not None:
        raise ConfigurationError("TELEMETRY_GATEWAY__PEPPER is set, but this version stores user ids as they come: unset it to accept that")


def is_loopback(host: str) -> bool:
    """True for an address only this machine can reach; a name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WriteKeys:
    """The keys a request may carry; none at all means that none is asked for."""

    def __init__(self, keys: Iterable[SecretStr]) -> None:
        self._digests = [_digest(key.get_secret_value()) for key in keys]

    def check(self, authorization: str | None, query_key: str | None) -> int | None:
        """The number of the key that was sent, None when none is asked for; raises Reject `unauthorized`.

        Args:
            authorization: the header, "Bearer KEY".
            query_key: `?key=`, for beacons, which cannot set a header; looked at only without the header.
        """
        if not self._digests:
            return None
        sent = query_key
        if authorization is not None:
            scheme, _, value = authorization.partition(" ")
            sent = value.strip() if scheme.lower() == "bearer" else None
        if not sent:
            raise Reject("unauthorized", "a write key is needed: Authorization: Bearer KEY, or ?key=KEY")
        digest = _digest(sent)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # every one, so that time tells nothing
        if not any(matches):
            raise Reject("unauthorized", "the write key is not known")
        return matches.index(True)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Cors:
    """Answers for pages of the listed origins, e.g. "https://app.example"; no credentials, so no cookies are involved."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """What every answer carries: the origin is echoed only when it is listed."""
        if not self._origins:
            return {}
        if origin is None or origin.lower() not in self._origins:
            return {"Vary": "Origin"}
        return {"Vary": "Origin", "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Retry-After"}

    def preflight(self, origin: str | None) -> Mapping[str, str]:
        """The answer to OPTIONS; without a listed origin it allows nothing."""
        headers = self.headers(origin)
        if "Access-Control-Allow-Origin" not in headers:
            return headers
        return {
            **headers,
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
            "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
        }
