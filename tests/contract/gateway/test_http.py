from __future__ import annotations

import asyncio
import gzip
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from pipeline.gateway import connections, limits
from tests.contract.gateway.gateways import Answer, Client, gateway_on
from tests.unit.gateway.bodies import KNOWN_ID, event, json_bytes

#: Without the time, which would be part of the tests' names and differ between the processes that run them.
gzipped = partial(gzip.compress, mtime=0)

NO_KAFKA = "127.0.0.1:1"
KEYS = [SecretStr("wk_first"), SecretStr("wk_second")]
ORIGIN = "https://app.example"


@pytest.fixture
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A gateway whose broker is away, with the settings the test names: what is refused is refused before Kafka is asked."""
    async with gateway_on(NO_KAFKA, **getattr(request, "param", {})) as client:
        yield client


def assert_refused(answer: Answer, status: int, code: str) -> None:
    """Every refusal is one JSON object with a code and a sentence."""
    assert (answer.status, answer.json["error"]) == (status, code)
    assert set(answer.json) == {"error", "message"}
    assert answer.json["message"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "empty_body"),
        (b"{", {}, 400, "invalid_json"),
        (b"\xff\xff", {"Content_Type": "text/plain"}, 400, "invalid_json"),
        (b"{}", {"Content_Encoding": "gzip"}, 400, "invalid_compression"),
        (gzipped(gzipped(b"{}")), {"Content_Encoding": "gzip"}, 400, "invalid_compression"),
        (b"a=b", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "unsupported_content_type"),
        (b"{}", {"Content_Type": "application/json; charset=latin-1"}, 415, "unsupported_charset"),
        (b"{}", {"Content_Encoding": "br"}, 415, "unsupported_encoding"),
        (b"{}", {"Content_Encoding": "gzip, gzip"}, 415, "unsupported_encoding"),
        (b"{}\n" * 1_001, {}, 413, "too_many_events"),
        (b"[" * 100_000, {}, 413, "too_many_values"),
        (b" " * (limits.MAX_BODY_BYTES + 1), {}, 413, "body_too_large"),
        (gzipped(b" " * (limits.MAX_BODY_BYTES + 1)), {"Content_Encoding": "gzip"}, 413, "body_too_large"),
    ],
)
async def test_a_body_that_cannot_be_taken_says_why(gateway: Client, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    """Each kind has its status and code."""
    assert_refused(await gateway.post(body, **headers), status, code)


async def test_a_body_without_content_type_is_looked_into(gateway: Client) -> None:
    """A beacon of a bare Blob has no type."""
    async with gateway.session.post(
        f"{gateway.url}/v1/events?dry_run=1", data=json_bytes(event()), skip_auto_headers=["Content-Type"]
    ) as response:
        assert (response.status, (await response.json())["accepted"]) == (202, 1)


async def test_a_body_in_chunks_is_refused_once_it_is_too_large(gateway: Client) -> None:
    """Without a declared length the bound holds all the same, and the answer still arrives."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * (1 << 20)

    async with gateway.session.post(f"{gateway.url}/v1/events", data=endless(), headers={"Content-Type": "application/json"}) as response:
        assert (response.status, (await response.json())["error"]) == (413, "body_too_large")


async def test_other_paths_and_methods_are_refused_the_same_way(gateway: Client) -> None:
    """404 and 405 are JSON too."""
    assert_refused(await gateway.get("/v1/nothing"), 404, "not_found")
    refused = await gateway.get("/v1/events")
    assert_refused(refused, 405, "method_not_allowed")
    assert set(refused.headers["Allow"].split(",")) == {"POST", "OPTIONS"}


async def test_dry_run_is_yes_or_no(gateway: Client) -> None:
    """Another value is refused rather than guessed: the guess would publish."""
    assert (await gateway.post(event(), query="?dry_run=1")).json["accepted"] == 1
    assert_refused(await gateway.post(event(), query="?dry_run=maybe"), 400, "invalid_parameter")


async def test_an_assigned_id_is_a_uuid_of_version_7(gateway: Client) -> None:
    """It sorts by time, in its canonical form."""
    [event_id] = (await gateway.post(event(), query="?dry_run=1")).json["event_ids"]
    assert uuid.UUID(event_id).version == 7
    assert str(uuid.UUID(event_id)) == event_id


async def test_without_kafka_events_are_refused_with_a_time_to_come_back(gateway: Client) -> None:
    """503 at once, with Retry-After; what needs no Kafka is answered as ever; readiness names what it waits for, health is good."""
    answer = await gateway.post(event())
    assert_refused(answer, 503, "kafka_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await gateway.post({})).status == 202
    ready = await gateway.get("/readyz")
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert "Kafka" in ready.json["waiting_for"]
    assert (await gateway.get("/healthz")).status == 200


KEYED = pytest.mark.parametrize("gateway", [{"write_keys": KEYS}], indirect=True)


@KEYED
async def test_a_write_key_is_asked_for_once_one_is_set(gateway: Client) -> None:
    """On loopback too: by header or by query, each of the keys; otherwise 401, whatever the body is."""
    assert (await gateway.post(event(), query="?dry_run=1", Authorization="Bearer wk_first")).status == 202
    assert (await gateway.post(event(), query="?key=wk_second&dry_run=1")).status == 202
    for query, headers in (("", {}), ("?key=wk_third", {}), ("", {"Authorization": "Bearer wk_secon"}), ("?key=", {})):
        refused = await gateway.post(b"{", query=query, **headers)
        assert_refused(refused, 401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == "Bearer"


@KEYED
async def test_who_sends_too_much_is_told_when_to_come_back(gateway: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 with Retry-After for that key; the other key is not held up."""
    monkeypatch.setattr(limits.RateLimit, "REQUEST_TOKENS", 1_000_000)
    assert (await gateway.post(event(), query="?key=wk_first&dry_run=1")).status == 202
    refused = await gateway.post(event(), query="?key=wk_first&dry_run=1")
    assert_refused(refused, 429, "rate_limited")
    assert int(refused.headers["Retry-After"]) >= 1
    assert (await gateway.post(event(), query="?key=wk_second&dry_run=1")).status == 202


async def test_without_keys_loopback_has_no_rate(gateway: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A publisher on the same machine is not slowed down."""
    monkeypatch.setattr(limits.RateLimit, "REQUEST_TOKENS", 1_000_000)
    assert [(await gateway.post(event(), query="?dry_run=1")).status for _ in range(3)] == [202] * 3


CORS = pytest.mark.parametrize("gateway", [{"write_keys": KEYS, "cors_origins": [ORIGIN]}], indirect=True)


@CORS
async def test_the_pages_of_a_listed_origin_may_send_and_read_the_answer(gateway: Client) -> None:
    """Preflight without a key, then POST, also when that is refused."""
    asks = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    async with gateway.session.options(f"{gateway.url}/v1/events", headers=asks) as preflight:
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "content-type" in preflight.headers["Access-Control-Allow-Headers"].lower()
    for query in ("?dry_run=1&key=wk_first", "?dry_run=1"):
        answer = await gateway.post(event(), query=query, Origin=ORIGIN)
        assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"]) == (ORIGIN, "Origin")
        assert "Access-Control-Allow-Credentials" not in answer.headers


@CORS
async def test_the_pages_of_other_origins_are_allowed_nothing(gateway: Client) -> None:
    """Neither the preflight nor the answer names them."""
    asks = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with gateway.session.options(f"{gateway.url}/v1/events", headers=asks) as preflight:
        assert not [name for name in preflight.headers if name.lower().startswith("access-control")]
    answer = await gateway.post(event(), query="?dry_run=1&key=wk_first", Origin="https://evil.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Vary"] == "Origin"


@CORS
async def test_a_beacon_needs_no_preflight_and_no_header(gateway: Client) -> None:
    """navigator.sendBeacon: text/plain, the key in the query."""
    answer = await gateway.post(
        json_bytes([event()]), query="?key=wk_second&dry_run=1", Content_Type="text/plain;charset=UTF-8", Origin=ORIGIN
    )
    assert (answer.status, answer.json["accepted"]) == (202, 1)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


@asynccontextmanager
async def _raw(gateway: Client, sent: bytes) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which `sent` has been written, whatever it means."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        await writer.drain()
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


_HALF_A_BODY = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n["


async def test_a_client_that_stalls_in_its_body_is_let_go(gateway: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """408, and the connection is closed."""
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 0.1)
    async with _raw(gateway, _HALF_A_BODY) as (reader, _):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "body_timeout"


async def test_a_connection_that_never_asks_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers that do not end are given up; a connection that has been served stays open."""
    monkeypatch.setattr(connections, "FIRST_REQUEST_WITHIN_S", 0.0)
    monkeypatch.setattr(connections, "SWEEP_EVERY_S", 0.1)
    async with gateway_on(NO_KAFKA) as gateway, _raw(gateway, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as (served, writer):
        await served.readuntil(b"}")
        async with _raw(gateway, b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Slow: ") as (reader, _):
            with suppress(ConnectionResetError):  # how a closing looks when the last bytes were not read
                assert await reader.read() == b""
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await served.read()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_goes_away_in_its_body_harms_nobody(gateway: Client) -> None:
    """Half a body, then nothing: it counts as the client's doing, and the next request is served."""
    before = await _scrape(gateway)
    async with _raw(gateway, _HALF_A_BODY) as (_, writer):
        await gateway.get("/healthz")  # by now the body has been begun
        writer.transport.abort()
        while _grown(before, after := await _scrape(gateway), 'nutricoach_gateway_requests_total{status="400"}') == 0:
            assert _grown(before, after, 'nutricoach_gateway_requests_total{status="500"}') == 0
    assert (await gateway.post(event(), query="?dry_run=1")).status == 202


@pytest.mark.parametrize("chunk", [b"zz\r\n{}\r\n", b"5\r\n{}xxxxxx\r\n"])
async def test_a_body_whose_chunks_are_wrong_is_the_senders_fault(gateway: Client, chunk: bytes) -> None:
    """400, not 500."""
    head = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with _raw(gateway, head + chunk) as (reader, _):
        assert (await reader.readline()).split()[1] == b"400"


async def test_too_many_bodies_at_once_are_refused_with_a_time_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one client holds the only place, another is told to come back; then it is served."""
    monkeypatch.setattr(limits, "MAX_READING_REQUESTS", 1)
    async with gateway_on(NO_KAFKA) as gateway, _raw(gateway, _HALF_A_BODY) as (_, writer):
        while (refused := await gateway.post(event(), query="?dry_run=1")).status == 202:
            pass
        assert_refused(refused, 503, "overloaded")
        assert int(refused.headers["Retry-After"]) >= 1
        writer.transport.abort()
        while (await gateway.post(event(), query="?dry_run=1")).status != 202:
            pass


async def test_a_pipelined_second_request_is_answered(gateway: Client) -> None:
    """Two requests in one packet: both have their answer."""
    body = json_bytes(event())
    one = b"POST /v1/events?dry_run=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    async with _raw(gateway, one + one.replace(b"Host: x\r\n", b"Host: x\r\nConnection: close\r\n")) as (reader, _):
        assert (await reader.read()).count(b"HTTP/1.1 202 ") == 2


async def _scrape(gateway: Client) -> dict[str, float]:
    async with gateway.session.get(f"{gateway.url}/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if line.startswith("nutricoach_gateway")]
    return {name: float(value) for name, _, value in lines}


def _grown(before: dict[str, float], after: dict[str, float], name: str) -> float:
    return after.get(name, 0.0) - before.get(name, 0.0)


async def test_metrics_count_requests_by_status_and_rejections_by_reason(gateway: Client) -> None:
    """What was asked and what came of it, without any label that a client chooses."""
    before = await _scrape(gateway)
    await gateway.post(b"{")
    await gateway.post([event(event_id=KNOWN_ID, schema_version=9), {}])
    after = await _scrape(gateway)
    expected = {
        'nutricoach_gateway_requests_total{status="400"}': 1,
        'nutricoach_gateway_requests_total{status="202"}': 1,
        'nutricoach_gateway_events_total{outcome="rejected",reason="unknown_schema_version"}': 1,
        'nutricoach_gateway_events_total{outcome="rejected",reason="unknown_event_type"}': 1,
        "nutricoach_gateway_request_seconds_count": 2,
    }
    assert {name: _grown(before, after, name) for name in expected} == expected
    assert after["nutricoach_gateway_unacked_bytes"] == 0


async def test_a_fault_of_ours_is_one_answer_without_its_stack(gateway: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 in JSON that shows nothing of the inside, and the next request is served."""

    def fails(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.gateway.events.read_events", fails)
        answer = await gateway.post(event())
    assert_refused(answer, 500, "internal_error")
    assert "secret" not in json.dumps(answer.json)
    assert (await gateway.post(event(), query="?dry_run=1")).status == 202
