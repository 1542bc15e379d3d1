"""The clients people use, unchanged, against the running server."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from pathlib import Path

import aiohttp
import clickhouse_connect
import pytest

from tests.contract.clickhouse_http.server import PASSWORD, USER, Server

ROWS = 30_000  # clickhouse-connect sends a block, and with lz4 a frame, for every 8,192 rows
MOMENT = datetime.datetime(2026, 11, 23, 10, 0, 0, 123_000, tzinfo=datetime.UTC)


def make(server: Server, table: str) -> None:
    columns = "n UInt64, name String, labels Map(LowCardinality(String), String), at DateTime64(3, 'UTC')"
    server.ask(f"CREATE TABLE {table} ({columns}) ENGINE = MergeTree ORDER BY n", writer=True)


def rows() -> list[list[object]]:
    return [[number, f"name {number}", {"a": str(number)}, MOMENT] for number in range(ROWS)]


@pytest.mark.parametrize("compression", [True, False, "lz4", "zstd", "gzip"])
def test_clickhouse_connect_inserts_every_block(server: Server, table: str, compression: bool | str) -> None:
    """All rows of a body of several frames arrive, in every compression, and the summary counts them."""
    make(server, table)
    client = server.client(writer=True, compress=compression)
    summary = client.insert(table, rows(), column_names=["n", "name", "labels", "at"])
    assert summary.written_rows == ROWS
    total = f"SELECT count(), uniqExact(n), sum(n), uniqExact(labels['a']) FROM {table}"
    assert client.query(total).result_rows == [(ROWS, ROWS, ROWS * (ROWS - 1) // 2, ROWS)]
    reader = server.client(compress=compression)
    assert reader.query(f"SELECT * FROM {table} WHERE n = 7").result_rows == [(7, "name 7", {"a": "7"}, MOMENT.replace(tzinfo=None))]
    client.close()
    reader.close()


async def test_clickhouse_connect_async(server: Server, table: str) -> None:
    """The asynchronous client with its default compression does the same."""
    make(server, table)
    client = await clickhouse_connect.get_async_client(host="127.0.0.1", port=server.port, username=USER, password=PASSWORD)
    summary = await client.insert(table, rows(), column_names=["n", "name", "labels", "at"])
    assert summary.written_rows == ROWS
    assert (await client.query(f"SELECT count(), uniqExact(n) FROM {table}")).result_rows == [(ROWS, ROWS)]
    await client.close()


async def test_aiohttp_raw(server: Server, table: str) -> None:
    """A plain HTTP client inserts JSON lines and reads them back."""
    make(server, table)
    body = b"".join(b'{"n":%d,"name":"x","labels":{},"at":"2026-11-23 10:00:00.000"}\n' % number for number in range(5_000))
    headers = {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD}
    async with aiohttp.ClientSession(server.url, headers=headers) as http:
        async with http.post("/", params={"query": f"INSERT INTO {table} FORMAT JSONEachRow", "async_insert": "0"}, data=body) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert '"written_rows":"5000"' in answer.headers["X-ClickHouse-Summary"]
        async with http.post("/", data=f"SELECT count() AS c FROM {table} FORMAT JSON") as answer:
            assert (await answer.json())["data"] == [{"c": 5000}]


@pytest.mark.parametrize("arguments", [[], ["--compressed"], ["--user", f"{USER}:{PASSWORD}"]])
def test_curl(server: Server, arguments: list[str]) -> None:
    """curl with a statement as its body gets plain text; where there is no curl, the same request by hand."""
    sql = "SELECT number, number * 2 FROM numbers(3)"
    if shutil.which("curl") is None:
        assert server.ask(sql) == "0\t0\n1\t2\n2\t4"
        return
    answer = subprocess.run(["curl", "-sS", *arguments, server.url, "-d", sql], capture_output=True, check=True, timeout=60)
    assert answer.stdout == b"0\t0\n1\t2\n2\t4\n"


def test_curl_uploads_a_gzip_file(server: Server, table: str, tmp_path: Path) -> None:
    """A compressed file goes in as it is."""
    import gzip

    server.ask(f"CREATE TABLE {table} (a UInt32, b String) ENGINE = MergeTree ORDER BY a", writer=True)
    body = gzip.compress(b"".join(b"%d,text\n" % number for number in range(1000)))
    answer = server.post(body, f"/?query=INSERT+INTO+{table}+FORMAT+CSV", writer=True, Content_Encoding="gzip")
    assert answer.status == 200, answer.text
    assert server.ask(f"SELECT count(), sum(a) FROM {table}") == "1000\t499500"
