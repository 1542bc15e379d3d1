"""Stand-ins for Slack and PagerDuty on loopback: they answer like the real ones, and keep what a person would have seen.

Slack takes an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks), PagerDuty an event of its
Events API v2 (https://developer.pagerduty.com/docs/send-alert-event).
"""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from aiohttp import web

from pipeline.runtime.clock import Clock
from schemas.delivery import DeliveryAction

HOST: Final = "127.0.0.1"

Kind = Literal["slack", "pagerduty"]

#: As long as PagerDuty's integration keys are.
_ROUTING_KEY: Final = "stand-in-for-a-real-routing-key."
#: A Slack message has no field that says it: its headline does.
_SLACK_ACTIONS: Final[dict[str, DeliveryAction]] = {"fires": "trigger", "is acknowledged": "acknowledge", "is resolved": "resolve"}
_PAGERDUTY_ACTIONS: Final[dict[str, DeliveryAction]] = {action: action for action in _SLACK_ACTIONS.values()}
_BOLD: Final = re.compile(r"\*(?=\S)([^*\n]+)(?<=\S)\*")
#: In this order: an escaped ampersand must not become the beginning of another entity.
_ENTITIES: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification as it arrived: `lines` is what a person sees, `body` what was sent."""

    receiver: str
    kind: Kind
    action: DeliveryAction
    at_ms: int
    lines: tuple[str, ...]
    body: str

    def concerns(self, rule: str, incident_key: str) -> bool:
        """A Slack message names the rule, a PagerDuty event the incident."""
        return rule in self.body or incident_key in self.body


class StandIns:
    """One stand-in for each of `receivers` (name → kind), all on one port, which takes connections from the start.

    `on_notice` is told of every notification that arrives. `environment` are the settings that make the notifier use them.
    """

    def __init__(self, receivers: Mapping[str, Kind], clock: Clock) -> None:
        self.receivers = dict(receivers)
        self.on_notice: Callable[[Notice], None] = lambda _: None
        self._clock = clock
        self._socket = socket.create_server((HOST, 0))
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}"

    @property
    def environment(self) -> dict[str, str]:
        settings: dict[str, str] = {}
        for name, kind in self.receivers.items():
            prefix = f"TELEMETRY_RECEIVERS__{name.replace('-', '_').upper()}__"
            settings[f"{prefix}URL"] = f"{self.url}/{kind}/{name}"
            if kind == "pagerduty":
                settings[f"{prefix}ROUTING_KEY"] = _ROUTING_KEY
        return settings

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer until the block ends; what was sent before waits to be answered."""
        app = web.Application()
        app.router.add_post("/{kind}/{name}", self._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            yield
        finally:
            await runner.cleanup()

    def close(self) -> None:
        self._socket.close()

    async def _receive(self, request: web.Request) -> web.Response:
        now_ms, name, kind = self._clock.now_ms(), request.match_info["name"], request.match_info["kind"]
        if name not in self.receivers or self.receivers[name] != kind:
            return web.Response(status=404, text="no_service")
        raw = await request.text()
        try:
            notice = read_notice(name, self.receivers[name], now_ms, raw)
        except (ValueError, KeyError, TypeError, AttributeError):
            return web.Response(status=400, text="invalid_payload")
        self.on_notice(notice)
        if kind == "slack":
            return web.Response(text="ok")
        return web.json_response({"status": "success", "message": "Event processed"}, status=202)


def read_notice(receiver: str, kind: Kind, at_ms: int, raw: str) -> Notice:
    """What arrived, as a person sees it. Raises ValueError or KeyError for what Slack or PagerDuty would refuse."""
    body = orjson.loads(raw)
    if kind == "pagerduty":
        return Notice(receiver, kind, _PAGERDUTY_ACTIONS[body["event_action"]], at_ms, tuple(_pagerduty_lines(body)), raw)
    lines = [line for block in body["blocks"] for line in _slack_lines(block)]
    action = next((action for words, action in _SLACK_ACTIONS.items() if lines[0].endswith(words)), None)
    if action is None:
        raise ValueError(f"a headline that says neither of {', '.join(_SLACK_ACTIONS)}")
    return Notice(receiver, kind, action, at_ms, tuple(lines), raw)


def _slack_lines(block: dict[str, Any]) -> list[str]:
    fields = [_shown(field["text"]).replace("\n", ": ", 1) for field in block.get("fields", [])]
    text = block.get("text")
    return fields + (_shown(text["text"]).split("\n") if text else [])


def _shown(markdown: str) -> str:
    """Slack's mrkdwn without its marks."""
    text = _BOLD.sub(r"\1", markdown.replace("`", ""))
    for entity, character in _ENTITIES.items():
        text = text.replace(entity, character)
    return text


def _pagerduty_lines(body: dict[str, Any]) -> list[str]:
    incident = f"incident {body['dedup_key'][:12]}"
    if body["event_action"] != "trigger":
        return [f"{body['event_action']}d: {incident}"]
    payload = body["payload"]
    return [payload["summary"], f"severity {payload['severity']}, {incident}, {payload['class']}, since {payload['timestamp']}"]
