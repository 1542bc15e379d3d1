"""POST /webhooks/slack and /webhooks/pagerduty: what people do there becomes a command, answered once Kafka has it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any, Final, TypeVar

import structlog
from aiohttp import ClientError, web
from pydantic import SecretStr

from pipeline.console import metrics, pagerduty, slack
from pipeline.console.commands import CommandSender
from pipeline.console.incidents import IncidentFeed
from pipeline.console.repeats import Repeats
from pipeline.runtime.clock import Clock
from pipeline.runtime.errors import Reject, RetryAfter
from pipeline.runtime.settings import Console
from pipeline.runtime.web_process import json_answer, refusal
from schemas.command import Ack, Snooze, Unack

log = structlog.get_logger(__name__)

#: The largest are Slack's, which quote the message whose button was pressed, some 50 KiB.
MAX_BODY_BYTES: Final = 256 << 10
#: With what sending takes, less than the 3 s that Slack waits.
BODY_WITHIN_S: Final = 1.0
_TOLD_EVERY_S: Final = 10.0

#: Status of each code a request can be refused with; 400 for the others.
_STATUS: Final = {
    "not_configured": 404,
    "unknown_incident": 404,
    "body_timeout": 408,
    "body_too_large": 413,
    "invalid_signature": 401,
    "stale_timestamp": 401,
    "replayed": 409,
}

Answer = dict[str, Any]
T = TypeVar("T", SecretStr, list[SecretStr])


class Webhooks:
    """The two handlers. What cannot be believed is refused before it is looked at."""

    def __init__(self, settings: Console, sender: CommandSender, feed: IncidentFeed, clock: Clock) -> None:
        self._slack_secret = settings.slack_signing_secret
        self._pagerduty_secrets = settings.pagerduty_secrets
        self._sender, self._feed, self._clock = sender, feed, clock
        self._repeats = Repeats()
        self._told_at: dict[tuple[str, str], float] = {}

    async def slack(self, request: web.Request) -> web.Response:
        """A button was pressed: 200 once Kafka has the command, within 3 s."""
        return await self._answer("slack", request, self._slack)

    async def pagerduty(self, request: web.Request) -> web.Response:
        """Somebody acted in PagerDuty: 200 once Kafka has the command, within 5 s; 200 too for what asks nothing of us."""
        return await self._answer("pagerduty", request, self._pagerduty)

    async def _slack(self, request: web.Request) -> Answer:
        secret = _configured(self._slack_secret, "TELEMETRY_CONSOLE__SLACK_SIGNING_SECRET")
        body = await _body(request)
        now_ms = self._clock.now_ms()
        request_id = slack.verify(secret.get_secret_value(), request.headers, body, now_ms / 1000)
        if request_id in self._repeats:
            raise Reject("replayed", "this very request has been obeyed already")
        commands = slack.commands_of(body, request_id, now_ms)
        if not commands:
            return {"outcome": "ignored", "message": "no button of an incident was pressed"}
        for command in commands:
            if not self._known(command):
                raise Reject("unknown_incident", f"no incident has the key {command.incident_key}")
        return await self._send("slack", request_id, commands)

    async def _pagerduty(self, request: web.Request) -> Answer:
        secrets = _configured(self._pagerduty_secrets, "TELEMETRY_CONSOLE__PAGERDUTY_SECRETS")
        body = await _body(request)
        header = request.headers.get("X-PagerDuty-Signature", "")
        pagerduty.verify([secret.get_secret_value() for secret in secrets], header, body)
        command = pagerduty.command_of(body, self._clock.now_ms())
        if command is None:
            return {"outcome": "ignored", "message": "nobody has acknowledged or taken back anything of ours"}
        if command.command_id in self._repeats:
            return {"outcome": "repeated", "message": "this event has been obeyed already"}
        if not self._known(command):  # no error: PagerDuty switches a subscription off that is refused too often
            return {"outcome": "ignored", "message": f"no incident has the key {command.incident_key}"}
        return await self._send("pagerduty", command.command_id, [command])

    def _known(self, command: Ack | Unack | Snooze) -> bool:
        if (reason := self._feed.waiting_for()) is not None:
            raise RetryAfter(f"the incidents are not known yet ({reason}); send the same again")
        return self._feed.incidents.knows(command.incident_key)

    async def _send(self, source: str, identity: str, commands: Sequence[Ack | Unack | Snooze]) -> Answer:
        await self._sender.send(*commands)
        self._repeats.add(identity)
        for one in commands:
            log.info("command", source=source, action=one.action, by=one.by, incident_key=one.incident_key, command_id=one.command_id)
        return {"outcome": "sent", "command_ids": [one.command_id for one in commands]}

    async def _answer(self, source: str, request: web.Request, handle: Callable[[web.Request], Awaitable[Answer]]) -> web.Response:
        try:
            answer = await handle(request)
        except Reject as error:
            self._tell(source, error)
            response, outcome = refusal(_STATUS.get(error.code, 400), error.code, str(error)), error.code
        except RetryAfter as error:
            response, outcome = refusal(503, "kafka_unavailable", str(error), retry_after_s=error.seconds), "kafka_unavailable"
        except Exception as error:  # one request's misfortune is not the others'
            log.exception("a request failed", error=type(error).__name__)
            response, outcome = refusal(500, "internal_error", "the console failed on this request"), "internal_error"
        else:
            response, outcome = json_answer(200, answer), str(answer["outcome"])
        metrics.WEBHOOKS.labels(source, outcome).inc()
        return response

    def _tell(self, source: str, error: Reject) -> None:
        """Not of each: anybody can send as many as they like."""
        now = self._clock.monotonic()
        if now - self._told_at.get((source, error.code), -inf) >= _TOLD_EVERY_S:
            self._told_at[source, error.code] = now
            log.warning("a webhook is refused", source=source, code=error.code, reason=str(error))


def _configured(secret: T | None, setting: str) -> T:
    if not secret:
        raise Reject("not_configured", f"this webhook is off: set {setting}")
    return secret


async def _body(request: web.Request) -> bytes:
    """As it came: signatures are over bytes."""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Reject("body_too_large", f"a body has at most {MAX_BODY_BYTES} bytes") from None
    except TimeoutError:
        raise Reject("body_timeout", f"the body did not arrive within {BODY_WITHIN_S:.0f} s") from None
    except (ConnectionError, ClientError) as error:
        raise Reject("broken_body", f"the body ends before its end ({type(error).__name__})") from None
