"""A Slack app with a bot token: one message per group, edited in place, and what happened in its thread.

A message is found again by its metadata, so a notifier that died between posting and writing that down does not post a second one.
Scopes: chat:write, channels:history (private channels: groups:history), metadata.message:read.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp
from pydantic import SecretStr

from alerting.notify import words
from alerting.notify.http import Answer, one_line, request
from alerting.notify.receiver import EVERYTHING, Attempt, Notification
from alerting.notify.slack import fallback
from alerting.notify.slack_blocks import blocks_of, buttons, cut, escape, footer
from schemas.timestamps import isoformat_ms

WEB_API: Final = "https://slack.com/api"
INCIDENT: Final = "nutricoach_incident"
CHANGE: Final = "nutricoach_change"
_TEXT_CHARS: Final = 3000
#: Clocks of Slack and of the alerter may differ.
_CLOCKS_DIFFER_S: Final = 300
_PAGE_MESSAGES: Final = 200
_MOST_PAGES: Final = 10
#: Of those Slack's methods document, what may pass: everything else is wrong with the request or the token.
#: https://docs.slack.dev/reference/methods/chat.postMessage#errors
_MAY_PASS: Final = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollback_failed"})
_BUSY: Final = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_GONE: Final = "message_not_found"


class _NotOk(Exception):
    """A call that was not obeyed. `unclear`: it may have been, all the same."""

    def __init__(self, attempt: Attempt, error: str = "", *, unclear: bool = False) -> None:
        super().__init__(error)
        self.attempt, self.error, self.unclear = attempt, error, unclear


class SlackBot:
    """Writes to one channel, by its id.

    A notification takes several calls. may_send is asked before each, and what it raises `send` raises: the answer to the last one may have
    come while this process slept, and another one may have its place by now.
    """

    hears = EVERYTHING

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: SecretStr,
        token: SecretStr,
        channel: str,
        may_send: Callable[[], Awaitable[None]],
    ) -> None:
        self._may_send = may_send
        self._session, self._base_url, self._channel = session, base_url.get_secret_value().rstrip("/"), channel
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._messages: dict[str, str] = {}  # group → ts
        self._shown: dict[str, str] = {}  # group → the delivery its message shows
        self._unclear: set[str] = set()  # groups and deliveries that may have been posted, the answer did not come

    async def send(self, notification: Notification) -> Attempt:
        key = notification.group.group_key
        try:
            told = await self._send(notification)
        except _NotOk as error:
            attempt = error.attempt
        else:
            attempt = Attempt("delivered", 200, "" if told else "the channel has no message about it")
        ts = self._messages.get(key)
        if attempt.outcome == "delivered" and notification.action == "resolve":
            self._messages.pop(key, None)
            self._shown.pop(key, None)
        return attempt if ts is None else replace(attempt, message_ref=f"{self._channel}/{ts}")

    async def _send(self, notification: Notification) -> bool:
        key = notification.group.group_key
        ts = self._messages.get(key) or _ts_of(notification.message_ref, self._channel) or await self._find(notification)
        if ts is not None:
            self._messages[key] = ts
            ts = await self._update(notification, ts)
        if ts is None and notification.action != "trigger":
            return False
        if ts is None:
            self._messages[key] = ts = await self._post(key, _message(notification) | {"metadata": _metadata_of(notification)})
        self._shown[key] = notification.delivery_id
        await self._reply(notification, ts)
        return True

    async def _update(self, notification: Notification, ts: str) -> str | None:
        """The message shows how things stand; None: somebody has deleted it."""
        key = notification.group.group_key
        if self._shown.get(key) == notification.delivery_id:
            return ts  # it was only the reply that failed
        try:
            await self._call("chat.update", {"channel": self._channel, "ts": ts, **_message(notification)})
        except _NotOk as error:
            if error.error != _GONE:
                raise
            del self._messages[key]
            return None
        return ts

    async def _reply(self, notification: Notification, ts: str) -> None:
        delivery_id = notification.delivery_id
        if (notification.resent or delivery_id in self._unclear) and await self._is_in_thread(delivery_id, ts):
            self._unclear.discard(delivery_id)
            return
        metadata = {"event_type": CHANGE, "event_payload": {"delivery_id": delivery_id}}
        at = isoformat_ms(notification.event.at)
        text = cut(f"*{at}* {escape(words.change(notification))}", _TEXT_CHARS)
        # An edit and a reply call nobody who does not follow the thread: a page is to be seen in the channel.
        again = notification.action == "trigger" and not notification.first
        await self._post(delivery_id, {"text": text, "thread_ts": ts, "reply_broadcast": again, "metadata": metadata})

    async def _find(self, notification: Notification) -> str | None:
        """The message an earlier attempt may have posted."""
        group = notification.group
        if notification.first and not notification.resent and group.group_key not in self._unclear:
            return None
        wanted = _metadata_of(notification)
        oldest = f"{group.opened_at_ms / 1000 - _CLOCKS_DIFFER_S:.6f}"
        return await self._look("conversations.history", {"oldest": oldest}, wanted)

    async def _is_in_thread(self, delivery_id: str, ts: str) -> bool:
        wanted = {"event_type": CHANGE, "event_payload": {"delivery_id": delivery_id}}
        return await self._look("conversations.replies", {"ts": ts}, wanted) is not None

    async def _look(self, method: str, where: Mapping[str, str], wanted: Mapping[str, Any]) -> str | None:
        """The ts of the message of ours with that metadata."""
        query = {"channel": self._channel, "include_all_metadata": "true", "limit": str(_PAGE_MESSAGES), **where}
        for _ in range(_MOST_PAGES):
            page = await self._call(method, query, read=True)
            for message in page.get("messages", []):
                if _is_same(message.get("metadata"), wanted):
                    return str(message["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None
            query["cursor"] = cursor
        return None

    async def _post(self, what: str, message: Mapping[str, Any]) -> str:
        """Post once; until the answer is there, it is unclear whether `what` has been posted."""
        try:
            posted = await self._call("chat.postMessage", {"channel": self._channel, **message})
        except _NotOk as error:
            (self._unclear.add if error.unclear else self._unclear.discard)(what)
            raise
        self._unclear.discard(what)
        return str(posted["ts"])

    async def _call(self, method: str, arguments: Mapping[str, Any], *, read: bool = False) -> dict[str, Any]:
        """Raises _NotOk unless Slack says ok."""
        await self._may_send()
        url = f"{self._base_url}/{method}"
        if read:
            answer = await request(self._session, "GET", url, query=arguments, headers=self._headers)
        else:
            answer = await request(self._session, "POST", url, body=arguments, headers=self._headers)
        return _obeyed(method, answer)


def _obeyed(method: str, answer: Answer) -> dict[str, Any]:
    attempt = answer.attempt
    if attempt.outcome != "delivered":
        raise _NotOk(attempt, unclear=attempt.outcome == "retry" and not attempt.busy)
    try:
        body = json.loads(answer.text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _NotOk(Attempt("retry", attempt.http_status, f"{method}: the answer is not Slack's"), unclear=True)
    if body.get("ok") is True:
        return body
    error = one_line(str(body.get("error", "no reason given")), 80)
    needed = f", the token needs the scope {one_line(str(body['needed']), 80)}" if "needed" in body else ""
    reason = f"{method}: {error}{needed}"
    if error in _BUSY:
        raise _NotOk(Attempt("retry", attempt.http_status, reason, busy=True), error)
    if error in _MAY_PASS:
        raise _NotOk(Attempt("retry", attempt.http_status, reason), error, unclear=True)
    raise _NotOk(Attempt("rejected", attempt.http_status, f"the receiver refuses: {reason}"), error)


def _message(notification: Notification) -> dict[str, Any]:
    """Text and blocks of the group's one message: how it stands."""
    group, alert = notification.group, notification.event.alert
    headline = words.standing(notification)
    blocks = [*blocks_of(notification, headline, with_evidence=True), *buttons(notification)]
    acknowledge = "" if group.status == "resolved" else f"Acknowledge: `{words.ack_command(group)}` · "
    blocks.append(footer(f"{acknowledge}Runbook: {escape(alert.runbook)}"))
    return {"text": cut(escape(fallback(notification, headline)), _TEXT_CHARS), "blocks": blocks}


def _metadata_of(notification: Notification) -> dict[str, Any]:
    payload = {"incident_key": notification.group.group_key, "receiver": notification.receiver}
    return {"event_type": INCIDENT, "event_payload": payload}


def _is_same(metadata: Any, wanted: Mapping[str, Any]) -> bool:
    return (
        isinstance(metadata, dict)
        and metadata.get("event_type") == wanted["event_type"]
        and isinstance(metadata.get("event_payload"), dict)
        and wanted["event_payload"].items() <= metadata["event_payload"].items()
    )


def _ts_of(message_ref: str | None, channel: str) -> str | None:
    """Of a reference to a message in this channel; None: it was in another one, or there is none."""
    where, _, ts = (message_ref or "").partition("/")
    return ts if where == channel and ts else None
