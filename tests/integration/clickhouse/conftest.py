"""A migrated, empty `telemetry` database on the real ClickHouse, and the writer's client to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.migrations import migrate
from pipeline.clickhouse.tables import TABLES
from pipeline.runtime.settings import ClickHouse, Settings
from tests.stack_fixtures import ClickHouseServer


@pytest.fixture(scope="session")
def writer(clickhouse: ClickHouseServer) -> ClickHouse:
    """Settings of the writer."""
    return ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password))


@pytest.fixture(scope="module")
def migrated(writer: ClickHouse) -> Iterator[ClickHouse]:
    """The writer of a database that has just been made from nothing, and is gone afterwards: nobody meets what these tests left."""

    async def drop() -> None:
        client = Client(writer, database=None)
        await client.command("DROP DATABASE IF EXISTS telemetry SYNC")
        await client.close()

    asyncio.run(drop())
    asyncio.run(migrate(Settings(clickhouse=writer)))
    yield writer
    asyncio.run(drop())


@pytest.fixture
def client(migrated: ClickHouse) -> Iterator[Client]:
    """A client of the writer; every table is empty."""
    client = Client(migrated)

    async def empty() -> None:
        for table in TABLES:
            await client.command(f"TRUNCATE TABLE {table.name}")

    asyncio.run(empty())
    yield client
    asyncio.run(client.close())
