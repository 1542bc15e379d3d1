"""A stack with topics and tables, shared by the tests of this folder; each test names its own service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.clickhouse.migrations import migrate
from pipeline.runtime.settings import ClickHouse, Settings
from pipeline.runtime.topics_admin import ensure_topics
from tests.integration.worker.stack import Stack
from tests.stack_fixtures import ClickHouseServer


def prepare(kafka: str, clickhouse: ClickHouseServer) -> None:
    """Topics and tables, as `telemetry topics` and `telemetry migrate` make them."""
    asyncio.run(ensure_topics(kafka))
    asyncio.run(migrate(Settings(clickhouse=ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password)))))


@pytest.fixture(scope="module")
def prepared(kafka: str, clickhouse: ClickHouseServer) -> ClickHouseServer:
    prepare(kafka, clickhouse)
    return clickhouse


@pytest.fixture
def stack(kafka: str, prepared: ClickHouseServer, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(kafka, prepared, tmp_path)
    yield stack
    stack.stop_workers()
