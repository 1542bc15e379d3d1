from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from pipeline.sdk import TelemetryMiddleware
from pipeline.sdk.methods import EventMethods
from tests.unit.sdk.clock import ManualClock


class Recorded(EventMethods):
    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def _capture(self, event_type: str, fields: Any) -> None:
        assert event_type == "api_request"
        self.requests.append(fields)


def scope_of(path: str, method: str = "GET", root_path: str = "") -> dict[str, Any]:
    whole = root_path + path
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": whole,
        "raw_path": whole.encode(),
        "root_path": root_path,
        "query_string": b"email=somebody@example.org",
        "headers": [],
        "server": ("127.0.0.1", 80),
    }


async def ask(app: Any, path: str, *, method: str = "GET", root_path: str = "") -> list[Any]:
    """What the application sends in answer to a request without a body."""
    sent: list[Any] = []

    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Any:
        if (message := next(body, None)) is None:
            await asyncio.Event().wait()  # the client stays until it has its answer
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of(path, method, root_path), receive, send)
    return sent


async def text(_: Request) -> Response:
    return PlainTextResponse("menu")


def starlette_app() -> Starlette:
    tenant = Starlette(routes=[Route("/recipes/{recipe_id:int}/facts", text), Route("/", text)])

    async def raw(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("raw")(scope, receive, send)

    routes = [
        Route("/recipes/{recipe_id}", text, methods=["GET", "POST"]),
        Route("/files/{path:path}", text),
        Mount("/v1/{tenant}", app=tenant),
        Mount("/raw", app=raw),
    ]
    return Starlette(routes=routes)


def fastapi_app() -> FastAPI:
    app, menus, organisation, below = FastAPI(), APIRouter(prefix="/menus"), APIRouter(prefix="/{org}"), FastAPI()

    @menus.get("")
    async def all_menus() -> str:
        return "all"

    @menus.get("/{menu_id}")
    async def one_menu(menu_id: str) -> str:
        return menu_id

    @organisation.get("/things/{thing}")
    async def one_thing(org: str, thing: int) -> str:
        return f"{org} {thing}"

    @below.get("/deep/{level}")
    async def deep(level: str) -> str:
        return level

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    menus.include_router(organisation, prefix="/orgs")
    app.include_router(menus, prefix="/v2")
    app.mount("/below", below)
    return app


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/recipes/42", "/recipes/{recipe_id}", 200),
        ("/recipes/recipes", "/recipes/{recipe_id}", 200),
        ("/files/a/b/secret-4711-of-somebody.pdf", "/files/{path:path}", 200),
        ("/v1/acme/recipes/7/facts", "/v1/{tenant}/recipes/{recipe_id:int}/facts", 200),
        ("/v1/v1/", "/v1/{tenant}/", 200),
        ("/raw/orders/8f3a21c0", "/raw/orders/:id", 200),
        ("/nowhere/123456", "/nowhere/:id", 404),
    ],
)
async def test_starlette_routes_are_templates(path: str, route: str, status: int) -> None:
    """The template has the mounts' prefixes and nothing of what the client put into the path; what no route matched has no ids."""
    recorded = Recorded()
    await ask(TelemetryMiddleware(starlette_app(), telemetry=recorded), path)
    assert [(one["method"], one["route"], one["status_code"]) for one in recorded.requests] == [("GET", route, status)]


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/v2/menus", "/v2/menus", 200),
        ("/v2/menus/9", "/v2/menus/{menu_id}", 200),
        ("/v2/menus/orgs/things/things/3", "/v2/menus/orgs/{org}/things/{thing}", 200),
        ("/v2/menus/orgs/acme/things/x", "/v2/menus/orgs/{org}/things/{thing}", 422),
        ("/below/deep/abc", "/below/deep/{level}", 200),
        ("/teapot", "/teapot", 418),
        ("/docs", "/docs", 200),
    ],
)
async def test_fastapi_routes_are_templates(path: str, route: str, status: int) -> None:
    """The prefixes of included routers and of mounted applications belong to the template."""
    recorded = Recorded()
    await ask(TelemetryMiddleware(fastapi_app(), telemetry=recorded), path)
    assert [(one["route"], one["status_code"]) for one in recorded.requests] == [(route, status)]


async def test_the_servers_own_prefix_is_no_part_of_the_route() -> None:
    """Behind a proxy that serves the application below a path, the routes are those of the application."""
    recorded = Recorded()
    await ask(TelemetryMiddleware(fastapi_app(), telemetry=recorded), "/v2/menus/9", root_path="/behind/proxy")
    assert [one["route"] for one in recorded.requests] == ["/v2/menus/{menu_id}"]


async def test_a_stream_is_measured_to_its_end_and_what_follows_is_not() -> None:
    """The duration has the whole response in it, and not the background task after it."""
    clock, recorded = ManualClock(), Recorded()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            clock.at_s += 0.5
            yield b"chunk"

    async def later() -> None:
        assert len(recorded.requests) == 1
        clock.at_s += 100

    app = FastAPI()

    @app.get("/stream")
    async def stream(tasks: BackgroundTasks) -> StreamingResponse:
        tasks.add_task(later)
        return StreamingResponse(chunks())

    await ask(TelemetryMiddleware(app, telemetry=recorded, clock=clock), "/stream")
    assert [one["duration_ms"] for one in recorded.requests] == [1500.0]
    assert clock.at_s >= 1_100


class BrokenError(Exception):
    """What the application under test raises."""


@pytest.mark.parametrize(
    ("begun", "error", "status"),
    [
        (False, BrokenError(), 500),
        (True, BrokenError(), 500),
        (False, asyncio.CancelledError(), 499),
        (True, asyncio.CancelledError(), 201),
        (False, ClientDisconnect(), 499),
    ],
)
async def test_an_exception_is_a_500_and_goes_on(begun: bool, error: BaseException, status: int) -> None:
    """A failure before the response is complete counts as 500 and reaches whoever runs the application; a client that left does not."""
    recorded = Recorded()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 201, "headers": []})
        raise error

    with pytest.raises(type(error)) as raised:
        await ask(TelemetryMiddleware(app, telemetry=recorded), "/broken")
    assert raised.value is error
    assert [one["status_code"] for one in recorded.requests] == [status]


async def test_the_user_comes_from_the_hook() -> None:
    """The hook sees the scope as the application left it."""
    recorded = Recorded()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = "u-42"
        await PlainTextResponse("hello")(scope, receive, send)

    await ask(TelemetryMiddleware(app, telemetry=recorded, user_id=lambda scope: scope["user"]), "/")
    assert [one["user_id"] for one in recorded.requests] == ["u-42"]


async def test_a_hook_that_fails_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    """The response goes out, nothing is raised, and the log says that a request was not reported."""
    recorded = Recorded()
    sent = await ask(TelemetryMiddleware(starlette_app(), telemetry=recorded, user_id=lambda scope: scope["nobody"]), "/recipes/1")
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert "could not be reported" in caplog.text


async def test_other_protocols_pass_untouched() -> None:
    """A WebSocket and the lifespan are no requests."""
    recorded, seen = Recorded(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], send))

    for kind in ("websocket", "lifespan"):
        await TelemetryMiddleware(app, telemetry=recorded)({"type": kind}, ask, ask)  # type: ignore[arg-type]
    assert seen == [("websocket", ask), ("lifespan", ask)]
    assert recorded.requests == []
