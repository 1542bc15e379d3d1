"""Slack's Web API for one channel, as far as a client can tell: messages, threads, metadata, and what it refuses.

chat.postMessage, chat.update, conversations.history, conversations.replies (https://docs.slack.dev/reference/methods). Errors are
HTTP 200 with `ok: false`; a call that is too much gets HTTP 429 with Retry-After.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

from aiohttp import web

from tests.receivers.slack import message_violations

CHANNEL = "C0123456789"
TOKEN = "xoxb-0123456789-abcdefghijkl"
_PAGE = 200
_POST_FIELDS = {"channel", "text", "blocks", "thread_ts", "reply_broadcast", "metadata"}
_UPDATE_FIELDS = {"channel", "ts", "text", "blocks", "metadata"}


class Fault(TypedDict, total=False):
    """What happens to one call. `done`: it is obeyed all the same, and only the answer goes wrong."""

    status: int
    retry_after_s: float
    error: str
    hang_s: float
    reset: bool
    done: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One call: `answered` is the HTTP status, None when it got no answer; `error` of an answer that is not ok."""

    received_at_ms: int
    method: str
    arguments: Any
    answered: int | None
    error: str
    violations: list[str]


@dataclass
class SlackApi:
    """`messages`, by ts: top level and replies. `faults` wait for the next calls, of the named method or of any ('')."""

    record: Path | None = None
    url: str = ""
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    faults: dict[str, deque[Fault | None]] = field(default_factory=dict)

    def misbehave(self, *faults: Fault | None, method: str = "") -> None:
        """None: that call goes well."""
        self.faults.setdefault(method, deque()).extend(faults)

    def in_channel(self) -> list[dict[str, Any]]:
        """What stands in the channel itself, oldest first."""
        return [message for message in self.messages.values() if message.get("thread_ts") in (None, message["ts"])]

    def in_thread(self, ts: str) -> list[dict[str, Any]]:
        """Replies, oldest first."""
        return [message for message in self.messages.values() if message.get("thread_ts") == ts and message["ts"] != ts]

    def violations(self) -> list[str]:
        return [violation for call in self.calls for violation in call.violations]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        received_at_ms, method = time.time_ns() // 1_000_000, request.match_info["method"]
        arguments: dict[str, Any] = dict(request.query) if request.method == "GET" else await request.json()
        fault = self._next_fault(method) or Fault()
        fails = any(name in fault for name in ("status", "error", "hang_s", "reset"))
        found = self._violations(method, request, arguments)
        answer: dict[str, Any] = {"ok": False, "error": fault.get("error", "told_to_misbehave")}
        if not fails or fault.get("done"):
            obeyed = self._obey(method, request, arguments)
            answer = obeyed if not fails else answer
        answered = None if "hang_s" in fault or fault.get("reset") else fault.get("status", 200)
        self._note(Call(received_at_ms, method, arguments, answered, str(answer.get("error", "")), found))
        if fault.get("reset") and request.transport is not None:
            request.transport.abort()
        await asyncio.sleep(fault.get("hang_s", 0.0))
        headers = {"Retry-After": f"{fault['retry_after_s']:g}"} if "retry_after_s" in fault else {}
        return web.json_response(answer, status=fault.get("status", 200), headers=headers)

    def _next_fault(self, method: str) -> Fault | None:
        waiting = next((queue for name in (method, "") if (queue := self.faults.get(name))), None)
        return waiting.popleft() if waiting else None

    def _violations(self, method: str, request: web.Request, arguments: Mapping[str, Any]) -> list[str]:
        writes = method.startswith("chat.")
        known = {"chat.postMessage": _POST_FIELDS, "chat.update": _UPDATE_FIELDS}.get(method)
        found = [f"{method}: unknown field {name}" for name in arguments if known is not None and name not in known]
        if (request.method == "POST") != writes:
            found.append(f"{method} by {request.method}")
        if writes and request.content_type != "application/json":
            found.append(f"{method}: content type {request.content_type}")
        if writes:
            found += [f"{method}: {problem}" for problem in message_violations(dict(arguments))]
        metadata = arguments.get("metadata")
        if metadata is not None and not (isinstance(metadata, dict) and set(metadata) == {"event_type", "event_payload"}):
            found.append(f"{method}: metadata")
        return found

    def _obey(self, method: str, request: web.Request, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _not_ok("invalid_auth")
        if arguments.get("channel") != CHANNEL:
            return _not_ok("channel_not_found")
        if method == "conversations.replies" and arguments["ts"] not in self.messages:
            return _not_ok("thread_not_found")
        obey: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "conversations.history": lambda asked: self._page(self.in_channel()[::-1], asked),
            "conversations.replies": lambda asked: self._page([self.messages[asked["ts"]], *self.in_thread(asked["ts"])], asked),
        }
        return obey[method](arguments) if method in obey else _not_ok("unknown_method")

    def _post(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        thread_ts = arguments.get("thread_ts")
        if thread_ts is not None and thread_ts not in self.messages:
            return _not_ok("thread_not_found")
        if violations := message_violations(dict(arguments)):
            return _not_ok("msg_too_long" if "characters" in violations[0] else "invalid_blocks")
        ts = f"{time.time_ns() // 1_000_000_000}.{len(self.messages):06d}"
        self.messages[ts] = {"ts": ts, **{name: value for name, value in arguments.items() if name != "channel"}}
        return {"ok": True, "channel": CHANNEL, "ts": ts, "message": self.messages[ts]}

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        message = self.messages.get(str(arguments.get("ts")))
        if message is None:
            return _not_ok("message_not_found")
        if violations := message_violations(dict(arguments)):
            return _not_ok("msg_too_long" if "characters" in violations[0] else "invalid_blocks")
        message.update({name: arguments[name] for name in ("text", "blocks", "metadata") if name in arguments})
        return {"ok": True, "channel": CHANNEL, "ts": message["ts"]}

    def _page(self, messages: list[dict[str, Any]], arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Metadata only where it is asked for, as Slack has it."""
        start, size = int(arguments.get("cursor") or 0), int(arguments.get("limit", _PAGE))
        since = [message for message in messages if float(message["ts"]) >= float(arguments.get("oldest", 0))]
        page = since[start : start + size]
        if arguments.get("include_all_metadata") != "true":
            page = [{name: value for name, value in message.items() if name != "metadata"} for message in page]
        more = start + size < len(since)
        return {
            "ok": True,
            "messages": page,
            "has_more": more,
            "response_metadata": {"next_cursor": str(start + size) if more else ""},
        }

    def _note(self, call: Call) -> None:
        self.calls.append(call)
        if self.record is not None:
            with self.record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(call)) + "\n")


def _not_ok(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


@asynccontextmanager
async def slack_api(*, port: int = 0, record: Path | None = None) -> AsyncIterator[SlackApi]:
    """On a free port of loopback, or on `port`, until the block ends. `url` is what settings call the URL of the receiver."""
    api = SlackApi(record)

    async def misbehave(request: web.Request) -> web.Response:
        api.misbehave(*await request.json(), method=request.query.get("method", ""))
        return web.Response(text="ok")

    async def state(_: web.Request) -> web.Response:
        return web.json_response({"messages": list(api.messages.values()), "calls": [asdict(call) for call in api.calls]})

    app = web.Application()
    app.router.add_post("/misbehave", misbehave)
    app.router.add_get("/received", state)
    app.router.add_route("*", "/api/{method}", api.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api"
        yield api
    finally:
        await runner.cleanup()


def main(argv: Iterable[str] | None = None) -> None:
    """Serve until a signal ends the process; prints the address in one line when it is ready."""
    parser = argparse.ArgumentParser(prog="python -m tests.receivers.slack_api")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args(None if argv is None else list(argv))

    async def serve() -> None:
        async with slack_api(port=arguments.port, record=arguments.record) as api:
            print(api.url, flush=True)  # noqa: T201
            await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(serve())


if __name__ == "__main__":
    main()
