"""Email by SMTP: one message when a group begins and one when it is over, in one thread of the reader's mail program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib

from alerting.notify import http, words
from alerting.notify.receiver import BEGIN_AND_END, Attempt, Notification

_DOMAIN: Final = "nutricoach-telemetry"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"smtp": 587, "smtps": 465}
#: https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1: 4yz may pass, 5yz will not.
_PERMANENT: Final = 500


@dataclass(frozen=True, slots=True)
class MailServer:
    """`smtp` goes over to TLS before anything is said (a server on loopback need not), `smtps` begins with it."""

    host: str
    port: int
    implicit_tls: bool
    username: str | None
    password: str | None

    @property
    def start_tls(self) -> bool | None:
        """None: if the server can."""
        if self.implicit_tls:
            return False
        return None if self.host in _LOOPBACK else True


def mail_server(url: str) -> MailServer:
    """Read `smtp(s)://user:password@host:port`. Raises ValueError, without the address, for anything else."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("the address of a mail server is smtp(s)://user:password@host:port")
    username, password = (None if part is None else unquote(part) for part in (parts.username, parts.password))
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError("the port of the mail server is not a number up to 65535") from None
    return MailServer(parts.hostname, port, parts.scheme == "smtps", username or None, password)


class MailReceiver:
    """Sends from `sender` to all of `recipients`, who see each other."""

    hears = BEGIN_AND_END

    def __init__(self, server: MailServer, sender: str, recipients: Sequence[str]) -> None:
        self._server, self._sender, self._recipients = server, sender, tuple(recipients)

    async def send(self, notification: Notification) -> Attempt:
        server = self._server
        try:
            refused, _ = await aiosmtplib.send(
                mail(notification, self._sender, self._recipients),
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                use_tls=server.implicit_tls,
                start_tls=server.start_tls,
                timeout=http.TOTAL_TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refusal(max(one.code for one in error.recipients), "no recipient was taken")
        except aiosmtplib.SMTPResponseException as error:
            return _refusal(error.code, http.one_line(str(error.message)))
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            return Attempt("retry", reason=f"no answer of the mail server: {type(error).__name__}")
        return Attempt("delivered", reason=f"{len(refused)} of {len(self._recipients)} recipients were refused" if refused else "")


def mail(notification: Notification, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The message. A repeat has the same Message-ID, which mail programs take for the same message."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = words.subject(notification)
    message["Date"] = format_datetime(notification.event.at)
    message["Message-ID"] = f"<{notification.delivery_id}@{_DOMAIN}>"
    message["References"] = f"<{notification.group.group_key}@{_DOMAIN}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    message["X-Incident-Key"] = notification.group.group_key
    message.set_content(words.body(notification))
    return message


def _refusal(code: int, said: str) -> Attempt:
    reason = f"the mail server answers {code}: {said}"
    return Attempt("rejected" if code >= _PERMANENT else "retry", code, reason)
