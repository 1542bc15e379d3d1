from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.clickhouse_http.server import Server, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One embedded ClickHouse for all tests of this folder; each test makes tables of its own."""
    with running(tmp_path_factory.mktemp("clickhouse") / "data") as started:
        yield started


@pytest.fixture
def table(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a table that no other test uses, dropped afterwards."""
    name = "t_" + Path(str(request.node.path)).stem + "_" + "".join(c if c.isalnum() else "_" for c in request.node.name)
    server.ask(f"DROP TABLE IF EXISTS {name}", writer=True)
    yield name
    server.ask(f"DROP TABLE IF EXISTS {name}", writer=True)
