from __future__ import annotations

import pytest
from pydantic import SecretStr

from pipeline.gateway.access import Cors, WriteKeys, check_exposure, is_loopback
from pipeline.runtime.errors import ConfigurationError, Reject
from pipeline.runtime.settings import Gateway

KEYS = WriteKeys([SecretStr("wk_first"), SecretStr("wk_second")])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    """A gateway only this machine reaches starts without write keys."""
    assert is_loopback(host)
    check_exposure(Gateway(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "telemetry.example", ""])
def test_an_address_others_reach_needs_keys(host: str) -> None:
    """Without write keys it refuses to start and names the setting; with one it starts."""
    with pytest.raises(ConfigurationError, match="TELEMETRY_GATEWAY__WRITE_KEYS"):
        check_exposure(Gateway(host=host))
    check_exposure(Gateway(host=host, write_keys=[SecretStr("wk_1")]))


def test_a_pepper_is_not_ignored() -> None:
    """Who asks for pseudonyms is told that there are none, rather than storing what was to be hidden."""
    with pytest.raises(ConfigurationError, match="TELEMETRY_GATEWAY__PEPPER"):
        check_exposure(Gateway(pepper=SecretStr("p")))


@pytest.mark.parametrize(
    ("authorization", "query_key", "number"),
    [
        ("Bearer wk_first", None, 0),
        ("bearer  wk_second ", None, 1),
        (None, "wk_second", 1),
        ("Bearer wk_first", "nonsense", 0),
    ],
)
def test_a_known_key_is_let_in(authorization: str | None, query_key: str | None, number: int) -> None:
    """Either way to send a key works, the header first, and each key has its number."""
    assert KEYS.check(authorization, query_key) == number


@pytest.mark.parametrize(
    ("authorization", "query_key"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer wk_firs", None),
        ("Bearer wk_first2", None),
        ("Basic wk_first", None),
        ("wk_first", None),
        ("Bearer wrong", "wk_first"),
        (None, ""),
        (None, "WK_FIRST"),
        (None, "\udcff"),
    ],
)
def test_any_other_key_is_refused_without_repeating_it(authorization: str | None, query_key: str | None) -> None:
    """No key, a wrong one, another scheme: unauthorized, and the message does not quote what was sent."""
    with pytest.raises(Reject) as refused:
        KEYS.check(authorization, query_key)
    assert refused.value.code == "unauthorized"
    assert "wk_" not in str(refused.value)


def test_without_keys_none_is_asked_for() -> None:
    """An open gateway does not look at what is sent."""
    assert WriteKeys([]).check("Bearer anything", None) is None


def test_only_a_listed_origin_is_echoed() -> None:
    """Scheme, host and port must be as listed; others get nothing but Vary, and no answer allows credentials."""
    cors = Cors(["https://app.example", "http://localhost:3000/"])
    assert cors.headers("https://app.example")["Access-Control-Allow-Origin"] == "https://app.example"
    assert cors.headers("http://localhost:3000")["Access-Control-Allow-Origin"] == "http://localhost:3000"
    for other in (None, "http://app.example", "https://app.example.evil.example", "https://app.example:444", "null", "*"):
        assert cors.headers(other) == {"Vary": "Origin"}
        assert cors.preflight(other) == {"Vary": "Origin"}
    assert "Access-Control-Allow-Credentials" not in cors.preflight("https://app.example")


def test_a_preflight_allows_what_a_page_needs() -> None:
    """POST with a key, a content type and a compressed body."""
    allowed = Cors(["https://app.example"]).preflight("https://app.example")
    assert allowed["Access-Control-Allow-Methods"] == "POST"
    headers = {name.strip().lower() for name in allowed["Access-Control-Allow-Headers"].split(",")}
    assert headers == {"authorization", "content-type", "content-encoding"}


def test_without_listed_origins_no_cors_header_is_sent() -> None:
    """CORS is off until origins are listed."""
    assert Cors([]).headers("https://app.example") == {}
