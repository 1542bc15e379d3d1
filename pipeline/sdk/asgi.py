"""ASGI middleware: one `api_request` event per HTTP request, for Starlette, FastAPI and what else speaks ASGI."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from pipeline.aggregation.paths import path_template
from pipeline.runtime.clock import Clock, SystemClock
from pipeline.sdk.methods import EventMethods
from pipeline.sdk.quiet_log import QuietLog

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_DURATION_MS: Final = 3_600_000.0
_FAILED: Final = 500
#: nginx's word for a client that went away before it had an answer.
_CLIENT_GONE: Final = 499
_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")


@dataclass(slots=True)
class _Request:
    """`prefix` is the root path before any mount has added its own; `status` as it was sent."""

    scope: Scope
    prefix: str
    began_s: float
    status: int | None = None
    is_told: bool = False


class TelemetryMiddleware:
    """`app.add_middleware(TelemetryMiddleware, telemetry=telemetry)`, outermost, so that it sees what the others answer.

    The event is made when the last byte of the response has been handed over; what the app does afterwards is not the request. An
    exception before that counts as 500 and goes on unchanged; a client that went away before it had an answer is 499. The route is the
    template that the router matched (`/recipes/{recipe_id}`, with the prefix of its mounts); without one, the path with `:id` for all
    that looks like an id. Nothing here makes a request fail.

    Args:
        user_id: who asks, from the scope as it is after the response (with `user`, `session`, `state`); None for nobody.
    """

    def __init__(
        self, app: App, *, telemetry: EventMethods, user_id: Callable[[Scope], str | None] | None = None, clock: Clock | None = None
    ) -> None:
        self._app, self._telemetry, self._user_id, self._clock = app, telemetry, user_id, clock or SystemClock()
        self._log = QuietLog(self._clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, scope.get("root_path", ""), self._clock.monotonic())

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self._emit(request, _FAILED)

        try:
            await self._app(scope, receive, watched)
        except BaseException as error:
            if isinstance(error, Exception) and type(error).__name__ != "ClientDisconnect":
                request.status = _FAILED
            self._emit(request, _CLIENT_GONE)
            raise
        self._emit(request, _FAILED)

    def _emit(self, request: _Request, status: int) -> None:
        """Once; `status` is for a response that was not even begun."""
        if request.is_told:
            return
        request.is_told = True
        duration_ms = min((self._clock.monotonic() - request.began_s) * 1000, _MAX_DURATION_MS)
        scope = request.scope
        try:
            user_id = None if self._user_id is None else self._user_id(scope)
            route, status = route_of(scope, request.prefix), request.status or status
            self._telemetry.api_request(method=scope["method"], route=route, status_code=status, duration_ms=duration_ms, user_id=user_id)
        except Exception as error:  # whatever the hook or the scope is like, the request has been answered
            self._log.warning("hook", f"a request could not be reported to telemetry: {error!r}")


def route_of(scope: Scope, prefix: str) -> str:
    """The template of the route that answered, below the server's own `prefix`, never with what a client put into it.

    A router says only its own part (`/menus/{menu_id}`); what stands before that in the path are mounts and the prefixes of routers.
    """
    path: str = scope["path"].removeprefix(prefix)
    parameters = {name: str(value) for name, value in (scope.get("path_params") or {}).items()}
    route = scope.get("route")
    template = getattr(route, "path", None)
    if not isinstance(template, str) or hasattr(route, "routes"):  # no router, or one that only mounts another application
        return path_template(_named(path, parameters))
    own = _PARAMETER.findall(template)
    slashes = template.count("/") + sum(parameters.pop(name, "").count("/") for name in own)
    before = path.split("/")[: max(0, path.count("/") - slashes) + 1]
    return _named("/".join(before), parameters) + template or "/"


def _named(path: str, parameters: Mapping[str, str]) -> str:
    """The path with each of the router's parameters by its name: the longest first, for one may be part of another, and the last place
    that looks like it, for a name comes before what it names."""
    for name, value in sorted(parameters.items(), key=lambda item: -len(item[1])):
        before, found, after = f"{path}/".rpartition(f"/{value}/")
        if found and value.strip("/"):
            path = f"{before}/{{{name}}}/{after}".removesuffix("/")
    return path
