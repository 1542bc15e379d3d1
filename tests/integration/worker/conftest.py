"""A stack with topics and tables, shared by the tests of this folder; each test names its own service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.worker.own_stack import prepare
from tests.integration.worker.stack import Stack
from tests.stack_fixtures import ClickHouseServer


@pytest.fixture(scope="module")
def prepared(kafka: str, clickhouse: ClickHouseServer) -> ClickHouseServer:
    prepare(kafka, clickhouse)
    return clickhouse


@pytest.fixture
def stack(kafka: str, prepared: ClickHouseServer, tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(kafka, prepared, tmp_path)
    yield stack
    stack.stop_roles()
