from __future__ import annotations

from aiohttp import ClientSession, web

from pipeline.runtime import metrics
from pipeline.runtime.health import HealthServer, add_health_routes


async def get(url: str) -> tuple[int, str, str]:
    async with ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.content_type, await answer.text()


async def test_a_role_says_what_it_waits_for_until_it_is_ready() -> None:
    """503 with the name of what is missing, then 200; it is alive all the while."""
    waiting: list[str | None] = ["ClickHouse"]
    async with HealthServer("127.0.0.1", 0, waiting_for=lambda: waiting[0]) as server:
        assert await get(f"{server.url}/readyz") == (503, "application/json", '{"ready": false, "waiting_for": "ClickHouse"}')
        assert (await get(f"{server.url}/healthz"))[0] == 200
        waiting[0] = None
        assert await get(f"{server.url}/readyz") == (200, "application/json", '{"ready": true, "waiting_for": null}')


async def test_a_stuck_role_asks_to_be_restarted() -> None:
    """Liveness is another question than readiness."""
    async with HealthServer("127.0.0.1", 0, stuck=lambda: "no chunk was finished for 130 s") as server:
        status, _, body = await get(f"{server.url}/healthz")
        assert (status, body) == (503, '{"healthy": false, "stuck": "no chunk was finished for 130 s"}')
        assert (await get(f"{server.url}/readyz"))[0] == 200


async def test_metrics_are_what_prometheus_reads() -> None:
    """The text format with its version, and the metrics of the runtime in it."""
    metrics.LOG_LINES_DROPPED.labels("aiokafka").inc(0)
    async with HealthServer("127.0.0.1", 0) as server, ClientSession() as session, session.get(f"{server.url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert 'nutricoach_log_lines_dropped_total{logger="aiokafka"}' in await answer.text()


async def test_nothing_is_served_once_it_has_stopped() -> None:
    """The port is free again for the next process."""
    async with HealthServer("127.0.0.1", 0) as server:
        port = int(server.url.rsplit(":", 1)[1])
    async with HealthServer("127.0.0.1", port) as again:
        assert again.url == server.url


async def test_an_application_of_its_own_takes_the_same_routes() -> None:
    """The gateway serves them beside its own."""
    app = web.Application()
    add_health_routes(app, waiting_for=lambda: "Kafka")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    assert [(await get(f"{url}/{path}"))[0] for path in ("healthz", "readyz", "metrics")] == [200, 503, 200]
    await runner.cleanup()
