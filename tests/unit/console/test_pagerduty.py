from __future__ import annotations

import json
import re
from hmac import compare_digest
from typing import Any

import pytest

from pipeline.console.pagerduty import command_of, verify
from pipeline.runtime.errors import Reject
from schemas.command import Ack, Unack
from tests.unit.console.signing import KEY, hmac_sha256, pagerduty_event, pagerduty_headers

NOW_MS = 1_795_600_000_000
BODY = pagerduty_event("incident.acknowledged")
INTEGRATION = {"type": "events_api_v2_inbound_integration_reference", "summary": "Telemetry"}


def signature(*secrets: str) -> str:
    return pagerduty_headers(BODY, *secrets)["X-PagerDuty-Signature"]


def test_signatures_of_the_test_are_those_of_the_rfc() -> None:
    """RFC 4231, test case 2: the helper of these tests computes HMAC-SHA256."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256("Jefe", b"what do ya want for nothing?") == expected


@pytest.mark.parametrize("sent", [("old",), ("new",), ("unknown", "new"), ("old", "new"), ("new", "unknown")])
def test_any_signature_by_any_secret_will_do(sent: tuple[str, ...]) -> None:
    """While a secret is changed PagerDuty signs with both, and the console knows both."""
    verify(["old", "new"], signature(*sent), BODY)
    verify(["old", "new"], signature(*sent).replace(",", " , "), BODY)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "v1=",
        ",,,",
        signature("unknown"),
        signature("old")[3:],
        signature("old").replace("v1=", "v0="),
        signature("old") + "0",
        "v1=ü\udcff",
    ],
)
def test_a_wrong_signature_is_refused(header: str) -> None:
    """Unknown secret, no scheme, another scheme, nothing at all, and what is not ASCII."""
    with pytest.raises(Reject) as refused:
        verify(["old", "new"], header, BODY)
    assert refused.value.code == "invalid_signature"


def test_another_body_and_signatures_without_end_are_refused() -> None:
    """The signature is that of the body; of hundreds only the first ten are looked at."""
    with pytest.raises(Reject):
        verify(["old"], signature("old"), BODY + b" ")
    with pytest.raises(Reject):
        verify(["old"], ",".join(["v1=0"] * 10 + [signature("old")]), BODY)


def test_every_pair_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the function made for it, also after a match: time tells neither which secret nor which signature."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return compare_digest(ours, theirs)

    monkeypatch.setattr("hmac.compare_digest", compare)
    verify(["old", "new"], signature("old", "unknown"), BODY)
    theirs = [part.encode() for part in signature("old", "unknown").split(",")]
    ours = [part.encode() for part in signature("old", "new").split(",")]
    assert compared == [(known, sent) for known in ours for sent in theirs]


@pytest.mark.parametrize(
    ("event_type", "agent", "expected"),
    [
        ("incident.acknowledged", "person", Ack),
        ("incident.acknowledged", None, Ack),
        ("incident.acknowledged", INTEGRATION, None),
        ("incident.unacknowledged", "person", Unack),
        ("incident.unacknowledged", {"type": "service_reference"}, Unack),
        ("incident.resolved", "person", Ack),
        ("incident.resolved", INTEGRATION, None),
        ("incident.resolved", None, None),
        ("incident.triggered", INTEGRATION, None),
        ("incident.escalated", "person", None),
        ("incident.reassigned", "person", None),
        ("incident.annotated", "person", None),
        ("incident.something_new", "person", None),
    ],
)
def test_what_people_do_is_a_command_and_what_we_did_is_not(event_type: str, agent: Any, expected: type | None) -> None:
    """Acknowledging, taking back, and resolving by hand; our own acknowledgement that comes back asks for nothing."""
    command = command_of(pagerduty_event(event_type, agent=agent), NOW_MS)
    assert (command and type(command)) == expected


def test_the_command_is_of_the_event_and_its_incident() -> None:
    """The event's id makes it the same however often it is sent; it is by the one who acted."""
    command = command_of(pagerduty_event("incident.acknowledged", event_id="01CH754SM17TWPE2V2H4VPBRO7"), NOW_MS)
    assert command is not None
    assert (command.command_id, command.incident_key) == ("pagerduty-01CH754SM17TWPE2V2H4VPBRO7", KEY)
    assert command.by == "Tenex Engineer (PagerDuty)"
    nobody = command_of(pagerduty_event("incident.acknowledged", agent={"type": "user_reference", "summary": "\x00\n" + "x" * 400}), NOW_MS)
    assert nobody is not None
    assert nobody.by == "x" * 180 + " (PagerDuty)"


@pytest.mark.parametrize("incident_key", [None, "", "srv01/HTTP", KEY.upper(), KEY + "0"])
def test_an_incident_of_somebody_elses_is_not_ours(incident_key: str | None) -> None:
    """PagerDuty has other incidents; only keys like ours can be ours."""
    assert command_of(pagerduty_event("incident.acknowledged", incident_key), NOW_MS) is None


def test_a_ping_asks_for_nothing() -> None:
    """PagerDuty sends one to try a subscription."""
    ping = {"event": {"id": "e1", "event_type": "pagey.ping", "data": {"message": "Hello from your friend Pagey!", "type": "ping"}}}
    assert command_of(json.dumps(ping).encode(), NOW_MS) is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body: Invalid JSON"),
        (b"\xff", "the body: Invalid JSON"),
        (b"[]", "the body: "),
        (b"{}", "event: Field required"),
        (b'{"event":{"id":"a","event_type":"x"}}', "event.data: Field required"),
        (b'{"event":{"id":"","event_type":"x","data":{}}}', "event.id: "),
        (b'{"event":{"id":"a\\nb","event_type":"x","data":{}}}', "event.id: "),
        (pagerduty_event("incident.acknowledged", event_id="x" * 151), "event.id: "),
        (b'{"event":{"id":"a","event_type":"x","data":{"incident_key":7}}}', "event.data.incident_key: "),
        (b'{"event":' * 50_000, "the body: Invalid JSON"),
    ],
)
def test_a_malformed_body_is_answered_with_what_is_wrong(body: bytes, says: str) -> None:
    """One line that names the place; what was sent is not repeated."""
    with pytest.raises(Reject, match=re.escape(says)) as refused:
        command_of(body, NOW_MS)
    assert refused.value.code == "invalid_payload"
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 300
