"""The worker: events to panes, rows and dead letters; and the alerting topics into ClickHouse.

    telemetry worker                        or, the same with Faust's own command line:
    faust -A pipeline.worker worker

One Faust app: agents fold chunks and archive records, services flush, write and repair. Composition only; the work is in
`pipeline.agents`, the numbers in `pipeline.aggregation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pipeline.agents.archive import ARCHIVED, Archived, archive
from pipeline.agents.flusher import Flusher
from pipeline.agents.ingest import Ingest
from pipeline.agents.loader import Loader
from pipeline.agents.outlet import Outlet
from pipeline.agents.repair import Repair
from pipeline.agents.writer import Writer
from pipeline.clickhouse.client import Client
from pipeline.runtime.chunk_source import ChunkSource, Limits
from pipeline.runtime.clock import SystemClock
from pipeline.runtime.health import HealthServer
from pipeline.runtime.settings import Settings, load_settings
from pipeline.runtime.shell import ShellApp, run
from schemas.topics import EVENTS

GROUP_ID: Final = "nutricoach-worker"
ARCHIVE_GROUP_ID: Final = "nutricoach-archive"


def create_app(settings: Settings) -> ShellApp:
    """The worker's Faust app; nothing is connected before it starts."""
    app = ShellApp("worker", settings)
    clock = SystemClock()
    client = Client(settings.clickhouse)
    outlet = Outlet(settings.kafka.bootstrap_servers, "nutricoach-worker", clock, beacon=app.beacon)
    loader = Loader(client)
    ingest = Ingest(loader.load)
    channel = app.channel(maxsize=0)

    def waiting_for() -> str | None:
        away = loader.waiting_for or writer.waiting_for()
        if away:
            return f"ClickHouse ({away})"
        return f"Kafka ({busy})" if (busy := outlet.waiting_for()) else None

    source = ChunkSource(
        channel,
        EVENTS.name,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=GROUP_ID,
        resume=ingest.resume,
        waiting_for=waiting_for,
        limits=_limits(settings),
        clock=clock,
    )

    async def rewind_all() -> None:
        for tp in source.owned():
            await source.rewind(tp)

    def is_half_full() -> bool:
        open_now = source.owned().values()
        records, size_bytes = sum(ledger.records_open for ledger in open_now), sum(ledger.bytes_open for ledger in open_now)
        return 2 * records > settings.worker.max_records_open or 2 * size_bytes > settings.worker.max_bytes_open

    writer = Writer(client, outlet, clock, rewind_all, is_half_full, beacon=app.beacon)
    flusher = Flusher(source, ingest, outlet, writer, clock, settings.worker)

    @app.agent(channel, name="fold")
    async def fold(stream: Any) -> None:
        async for chunk in stream:
            if not chunk.abandoned:
                async with source.guard(chunk):
                    records = len(chunk.records)
                    ingest.fold(chunk)
                    flusher.folded(records)

    archives = [_archive(app, settings, client, archived, outlet, waiting_for) for archived in ARCHIVED]
    health = HealthServer(
        settings.health.host, settings.health.port, waiting_for=lambda: waiting_for() or source.not_ready(), beacon=app.beacon
    )
    repair = Repair(lambda: {tp.partition for tp in source.owned()}, settings, outlet, clock, beacon=app.beacon)
    # Stopped in reverse: the sources drain while what finishes their chunks still runs.
    for service in (health, outlet, writer, flusher, repair, *archives, source):
        app.service(service)
    return app


def _limits(settings: Settings) -> Limits:
    worker = settings.worker
    return Limits(chunk_records=worker.chunk_records, max_records_open=worker.max_records_open, max_bytes_open=worker.max_bytes_open)


def _archive(
    app: ShellApp, settings: Settings, client: Client, archived: Archived, outlet: Outlet, waiting_for: Callable[[], str | None]
) -> ChunkSource:
    clock = SystemClock()
    channel = app.channel(maxsize=0)
    source = ChunkSource(
        channel,
        archived.topic.name,
        bootstrap_servers=settings.kafka.bootstrap_servers,
        group_id=f"{ARCHIVE_GROUP_ID}-{archived.table.name}",
        waiting_for=waiting_for,
    )

    @app.agent(channel, name=f"archive-{archived.table.name}")
    async def copy(stream: Any) -> None:
        async for chunk in stream:
            if not chunk.abandoned:
                async with source.guard(chunk):
                    await archive(client, archived, chunk, outlet.send, clock)

    return source


def main(settings: Settings) -> None:
    """Run a worker until it is told to stop."""
    run(create_app(settings))


def __getattr__(name: str) -> Any:
    """`app`, made when Faust's command line asks for it."""
    if name != "app":
        raise AttributeError(name)
    return globals().setdefault("app", create_app(load_settings()))
