from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from alerting.notify import http
from alerting.notify.mail import MailReceiver, mail, mail_server
from alerting.notify.receiver import Attempt
from tests.contract.notify.incidents import CONTEXT, notification, of_a_group
from tests.receivers.smtp import PASSWORD, USER, MailServer
from tests.receivers.smtp import mail_server as running

pytestmark = [  # of the server that receives, which is to take passwords without TLS
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
    pytest.mark.filterwarnings("ignore:Session.login_data is deprecated:DeprecationWarning"),
]

SENDER, TEAM = "telemetry@nutricoach.example", ["a@nutricoach.example", "b@nutricoach.example"]


@asynccontextmanager
async def post_office() -> AsyncIterator[tuple[MailServer, MailReceiver]]:
    async with running() as server:
        yield server, MailReceiver(mail_server(server.url), SENDER, TEAM)


async def test_beginning_and_end_are_one_thread_of_two_mails() -> None:
    """From, To, a subject of one line, a body that explains itself, and what mail programs make threads of."""
    async with post_office() as (server, team):
        for action in ("trigger", "resolve"):
            assert await team.send(notification(action, "email-team", context=CONTEXT)) == Attempt("delivered")
    first, second = server.received
    assert server.recipients == [TEAM, TEAM]
    assert (first["From"], first["To"]) == (SENDER, ", ".join(TEAM))
    assert first["Subject"].startswith("CRITICAL: Menu Generation Critical fires - Menu Generation Critical fires: error_rate 7.692 %")
    assert second["Subject"].startswith("CRITICAL: Menu Generation Critical is resolved")
    assert first["References"] == second["References"] != ""
    assert first["Message-ID"] != second["Message-ID"]
    body = first.get_content()
    for part in ("7.692 %, threshold 5 %", "400 / 5200", "Owner: menu-team", "Top errors: provider_timeout (390)", "telemetry alerts ack"):
        assert part in body


async def test_a_group_is_listed() -> None:
    """All fifty, one a line."""
    async with post_office() as (server, team):
        await team.send(of_a_group(50, receiver="email-team"))
    body = server.received[0].get_content()
    assert "50 incidents:" in body
    assert body.count("cpu of web-") >= 50


async def test_text_of_others_makes_no_header() -> None:
    """Line breaks in a summary or a rule's name stay text."""
    hostile = "x\r\nBcc: everybody@nutricoach.example\r\n\r\nhello"
    async with post_office() as (server, team):
        await team.send(notification("trigger", "email-team", summary=hostile, rule=hostile, owner=hostile))
    (message,) = server.received
    assert message["Bcc"] is None
    assert server.recipients == [TEAM]
    assert "Bcc: everybody" in message["Subject"]


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [("451 try again later", "retry", 451), ("421 closing", "retry", 421), ("550 refused", "rejected", 550), ("554 no", "rejected", 554)],
)
async def test_the_mail_servers_code_says_whether_to_try_again(answer: str, outcome: str, status: int) -> None:
    """RFC 5321: 4yz may pass, 5yz will not."""
    async with post_office() as (server, team):
        server.answers.append(answer)
        attempt = await team.send(notification())
    assert (attempt.outcome, attempt.http_status) == (outcome, status)


async def test_recipients_that_are_refused_do_not_keep_it_from_the_others() -> None:
    """One of two: delivered, and said; both: refused."""
    async with post_office() as (server, team):
        server.refuse.add(TEAM[0])
        one = await team.send(notification())
        server.refuse.add(TEAM[1])
        none = await team.send(notification())
    assert one == Attempt("delivered", reason="1 of 2 recipients were refused")
    assert server.recipients == [[TEAM[1]]]
    assert (none.outcome, none.http_status) == ("rejected", 550)


async def test_a_mail_server_that_hangs_or_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends in time."""
    monkeypatch.setattr(http, "TOTAL_TIMEOUT_S", 0.2)
    async with post_office() as (server, team):
        server.hangs_s.append(0.5)
        assert (await team.send(notification())).outcome == "retry"
    assert (await team.send(notification())).outcome == "retry"


async def test_the_password_is_nowhere_in_what_is_logged_or_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """Neither on success nor when it is wrong."""
    caplog.set_level(logging.DEBUG)
    async with post_office() as (server, team):
        attempts = [await team.send(notification())]
        wrong = MailReceiver(mail_server(server.url.replace(PASSWORD, "wr0ng-s3cret")), SENDER, TEAM)
        attempts.append(await wrong.send(notification()))
    assert [attempt.outcome for attempt in attempts] == ["delivered", "rejected"]
    assert "s3cret" not in caplog.text + repr(attempts)


def test_a_repeat_is_the_same_mail() -> None:
    """Under its Message-ID, mail programs show it once."""
    first, second = (mail(notification(resent=resent), SENDER, TEAM) for resent in (False, True))
    assert first.as_bytes() == second.as_bytes()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", ("mail.example", 587, False, None, None, True)),
        ("smtps://u%40x:p%2Fw@mail.example:465", ("mail.example", 465, True, "u@x", "p/w", False)),
        ("smtp://127.0.0.1:2525", ("127.0.0.1", 2525, False, None, None, None)),
    ],
)
def test_an_address_says_how_to_talk(url: str, expected: tuple[object, ...]) -> None:
    """Nothing goes out in the clear but on loopback."""
    server = mail_server(url)
    assert (server.host, server.port, server.implicit_tls, server.username, server.password, server.start_tls) == expected


@pytest.mark.parametrize("url", ["mail.example", "http://mail.example", "smtp://", "smtp://u:s3cret@h:port", "smtp://h/path"])
def test_an_address_that_is_none_is_refused_without_being_told(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValueError, match="mail server") as refused:
        mail_server(url)
    assert "s3cret" not in str(refused.value)
    assert USER not in str(refused.value)
