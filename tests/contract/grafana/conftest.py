import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.migrations import migrate
from pipeline.runtime.settings import ClickHouse, Settings
from tests.contract.grafana.reader import Answer, ask, queries
from tests.contract.grafana.rows import LONG_AGO, everything
from tests.stack_fixtures import ClickHouseServer, embedded_clickhouse


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A database as `telemetry migrate` makes it, with the rows of rows.py; `when_new` is what each query said before them."""

    url: str
    filled_at: datetime
    when_new: dict[str, Answer]


async def fill(settings: ClickHouse, now: datetime) -> None:
    client = Client(settings)
    try:
        for table, rows, count in everything(now):
            await insert(client, table, rows, count)
    finally:
        await client.close()


def warehouse_of(server: ClickHouseServer) -> Warehouse:
    settings = ClickHouse(url=server.url, user=server.user, password=SecretStr(server.password))
    asyncio.run(migrate(Settings(clickhouse=settings)))
    when_new = {name: ask(server.url, sql, LONG_AGO, "60") for name, sql in queries().items()}
    now = datetime.now(UTC)
    asyncio.run(fill(settings, now))
    return Warehouse(server.url, now, when_new)


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """One of its own: the dashboard looks at the whole database, so other tests' rows would show."""
    with embedded_clickhouse(tmp_path_factory.mktemp("grafana")) as server:
        yield warehouse_of(server)
