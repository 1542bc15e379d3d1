"""clickhouse-go over HTTP, as Grafana's data source uses it. Needs Go and its modules: `pytest` runs this only when it is named."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.clickhouse_http.server import PASSWORD, USER, Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("clickhouse") / "data") as started:
        yield started


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("go") / "clickhouse_go"
    subprocess.run(
        ["go", "build", "-o", built, "."], cwd=Path(__file__).parent, env=os.environ | {"GOFLAGS": "-buildvcs=false"}, check=True
    )
    return built


@pytest.mark.timeout(600)  # the first one builds
@pytest.mark.parametrize("compression", ["none", "gzip", "lz4", "zstd"])
def test_clickhouse_go(server: Server, program: Path, compression: str) -> None:
    """Every step of the program passes, with each compression."""
    command = [str(program), f"127.0.0.1:{server.port}", USER, PASSWORD, compression]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.stdout == f"{compression}: 25 steps passed\n", ended.stdout + ended.stderr
