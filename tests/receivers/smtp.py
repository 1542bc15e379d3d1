"""A mail server on loopback: takes mail of one user, keeps it, and answers otherwise when told to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "telemetry", "s3cret-of-mail"


@dataclass
class MailServer:
    """`answers` wait for the next messages, in place of taking them; `hang_s` likewise. `refuse` are recipients it does not know."""

    received: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: deque[str] = field(default_factory=deque)
    hangs_s: deque[float] = field(default_factory=deque)
    refuse: set[str] = field(default_factory=set)
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address in self.refuse:
            return "550 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.hangs_s:
            await asyncio.sleep(self.hangs_s.popleft())
        if self.answers:
            return self.answers.popleft()
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        message = message_from_bytes(raw, _class=EmailMessage, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append(message)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """On a free port, until the block ends; only USER with PASSWORD may send."""
    server = MailServer()

    def authenticate(_server: Any, _session: Any, _envelope: Any, mechanism: str, data: Any) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=known, handled=False)

    def protocol() -> SMTP:
        connections.append(
            SMTP(server, authenticator=authenticate, auth_required=True, auth_require_tls=False, hostname="localhost", loop=loop)
        )
        return connections[-1]

    connections: list[SMTP] = []
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(protocol, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for connection in connections:
            if connection.transport is not None:
                connection.transport.close()
        await listening.wait_closed()
