from __future__ import annotations

import json
import re
from hmac import compare_digest

import pytest

from pipeline.console.slack import commands_of, verify
from pipeline.runtime.errors import Reject
from schemas.command import Ack, Snooze, Unack
from schemas.timestamps import to_ms
from tests.unit.console.signing import KEY, form, pressed, slack_headers

NOW_MS = 1_795_600_000_000
NOW_S = NOW_MS // 1000
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


def code_of(headers: dict[str, str], body: bytes, now_s: float = NOW_S) -> str:
    with pytest.raises(Reject) as refused:
        verify(SECRET, headers, body, now_s)
    assert SECRET not in str(refused.value)
    return refused.value.code


def test_the_example_of_slacks_documents_is_accepted() -> None:
    """The request, secret and signature that Slack publishes to check an implementation with."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA"
        b"&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554"
        b"%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"X-Slack-Request-Timestamp": "1531420618", "X-Slack-Signature": signature}
    assert verify(SECRET, headers, body, 1_531_420_618) == f"1531420618 {signature}"


@pytest.mark.parametrize("age_s", [-300, 0, 300])
def test_a_request_is_believed_for_five_minutes(age_s: int) -> None:
    """Before and after, for clocks differ."""
    body = pressed(("ack", KEY))
    assert verify(SECRET, slack_headers(SECRET, body, NOW_S - age_s), body, NOW_S).startswith(f"{NOW_S - age_s} v0=")


@pytest.mark.parametrize("age_s", [-302, 301, 86_400])
def test_an_old_request_is_refused_though_its_signature_is_right(age_s: int) -> None:
    """Whoever has recorded one cannot send it again later."""
    body = pressed(("ack", KEY))
    assert code_of(slack_headers(SECRET, body, NOW_S - age_s), body) == "stale_timestamp"


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1e9", "١٧٩٥٦٠٠٠٠٠", "9" * 40, f"{NOW_S} "])
def test_a_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    """Also when it is signed: Arabic digits, signs, exponents and numbers without end."""
    body = pressed(("ack", KEY))
    assert code_of(slack_headers(SECRET, body, timestamp), body) == "stale_timestamp"


def test_a_wrong_signature_is_refused() -> None:
    """Another secret, another body, another time, another version, none, and what is not ASCII."""
    body = pressed(("ack", KEY))
    good = slack_headers(SECRET, body, NOW_S)
    assert code_of(slack_headers("another", body, NOW_S), body) == "invalid_signature"
    assert code_of(good, body + b" ") == "invalid_signature"
    assert code_of({**good, "X-Slack-Request-Timestamp": str(NOW_S + 1)}, body) == "invalid_signature"
    for signature in ("", good["X-Slack-Signature"][3:], good["X-Slack-Signature"].upper(), "v0=ü\udcff"):
        assert code_of({**good, "X-Slack-Signature": signature}, body) == "invalid_signature"
    assert code_of({}, body) == "stale_timestamp"


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the function made for it, once for the whole signature, whatever was sent."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return compare_digest(ours, theirs)

    monkeypatch.setattr("hmac.compare_digest", compare)
    body = pressed(("ack", KEY))
    good = slack_headers(SECRET, body, NOW_S)
    for signature in (good["X-Slack-Signature"], "v0=" + "0" * 64):
        compared.clear()
        try:
            verify(SECRET, {**good, "X-Slack-Signature": signature}, body, NOW_S)
        except Reject:
            assert signature != good["X-Slack-Signature"]
        assert compared == [(good["X-Slack-Signature"].encode(), signature.encode())]


def test_each_button_is_its_command() -> None:
    """Acknowledge, take it back, snooze for an hour: of the incident in the button, by the one who pressed it."""
    ack, unack, snooze = commands_of(pressed(("ack", KEY), ("unack", KEY), ("snooze", KEY)), "r", NOW_MS)
    assert isinstance(ack, Ack)
    assert isinstance(unack, Unack)
    assert isinstance(snooze, Snooze)
    assert {one.by for one in (ack, unack, snooze)} == {"alice"}
    assert {one.incident_key for one in (ack, unack, snooze)} == {KEY}
    assert {to_ms(one.at) for one in (ack, unack, snooze)} == {NOW_MS}
    assert to_ms(snooze.until) == NOW_MS + 3_600_000


def test_the_same_press_is_the_same_command_and_another_press_another() -> None:
    """However often and whenever it is sent; a second press, another button, user or incident is a command of its own."""
    (first,) = commands_of(pressed(("ack", KEY)), "1 v0=a", NOW_MS)
    (again,) = commands_of(pressed(("ack", KEY)), "2 v0=b", NOW_MS + 9_000)
    others = [
        commands_of(pressed(("ack", KEY), action_ts="1795600001.000001"), "1 v0=a", NOW_MS)[0],
        commands_of(pressed(("unack", KEY)), "1 v0=a", NOW_MS)[0],
        commands_of(pressed(("ack", "cd" * 32)), "1 v0=a", NOW_MS)[0],
        commands_of(pressed(("ack", KEY), user={"id": "U2"}), "1 v0=a", NOW_MS)[0],
    ]
    assert first.command_id == again.command_id
    assert len({first.command_id, *(other.command_id for other in others)}) == 5


def test_without_a_time_in_the_payload_the_request_is_the_press() -> None:
    """Two requests with the same content, signed at different times, are two presses."""
    ids = {commands_of(pressed(("ack", KEY), action_ts=None), request, NOW_MS)[0].command_id for request in ("1 v0=a", "2 v0=b")}
    assert len(ids) == 2


def test_what_is_no_button_of_ours_asks_for_nothing() -> None:
    """A link in the message, a shortcut, a closed dialogue."""
    assert commands_of(pressed(("open-runbook", "")), "r", NOW_MS) == ()
    assert commands_of(form('{"type":"view_closed"}'), "r", NOW_MS) == ()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "field `payload`"),
        (b"payload", "field `payload`"),
        (b"text=hello", "field `payload`"),
        (b"payload=%ff", "field `payload`"),
        (b"\xff\xfe", "field `payload`"),
        (b"a=1&" * 50 + b"payload={}", "field `payload`"),
        (b"payload=", "as a whole: Invalid JSON"),
        (form("[]"), "as a whole: "),
        (form("{}"), "type: Field required"),
        (form('{"type":"block_actions"}'), "user: Field required"),
        (form('{"type":"block_actions","user":{"id":"U1"},"actions":[]}'), "actions: "),
        (form('{"type":"block_actions","user":{"id":""},"actions":[{"action_id":"ack"}]}'), "user.id: "),
        (form('{"type":"block_actions","user":{"id":"U1"},"actions":[{"action_id":7}]}'), "actions.0.action_id: "),
        (form("[" * 100_000), "as a whole: Invalid JSON"),
        (pressed(("ack", "")), "incident_key: String should match"),
        (pressed(("ack", KEY[:12])), "incident_key: String should match"),
        (pressed(("ack", KEY.upper())), "incident_key: String should match"),
        (pressed(*[("ack", KEY)] * 26), "actions: "),
    ],
)
def test_a_malformed_payload_is_answered_with_what_is_wrong(body: bytes, says: str) -> None:
    """One line that names the place; what was sent is not repeated."""
    with pytest.raises(Reject, match=re.escape(says)) as refused:
        commands_of(body, "r", NOW_MS)
    assert refused.value.code == "invalid_payload"
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 300


def test_a_name_is_one_line_whatever_somebody_calls_himself() -> None:
    """Control characters become spaces, and it is cut; without a name it is the id."""
    (command,) = commands_of(pressed(("ack", KEY), user={"id": "U1", "name": "a\nb\x1b[31m" + "x" * 500}), "r", NOW_MS)
    assert command.by.startswith("a b [31mxxx")
    assert len(command.by) == 200
    (nameless,) = commands_of(pressed(("ack", KEY), user={"id": "U1"}), "r", NOW_MS)
    assert nameless.by == "U1"
    assert json.loads(nameless.model_dump_json())["action"] == "ack"
