"""A stack with topics and tables, shared by the tests of this folder; each test names its own service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.own_stack import prepare
from tests.integration.worker.stack import Stack
from tests.stack_fixtures import ClickHouseServer, any_clickhouse


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One of this folder's own: workers find what earlier ones left, and nothing that tests of tables have put there."""
    with any_clickhouse(tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def prepared(kafka: str, clickhouse: ClickHouseServer) -> ClickHouseServer:
    prepare(kafka, clickhouse)
    return clickhouse


@pytest.fixture
def stack(kafka: str, prepared: ClickHouseServer, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(kafka, prepared, tmp_path)
    yield stack
    stack.stop_roles()
