"""Results: formats, no rows, compression, and errors after the first block has been sent."""

from __future__ import annotations

import gzip
import http.client
import json

import lz4.block
import lz4.frame
import pytest
from backports import zstd
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.embedded.native_blocks import BlockDecompressor
from tests.contract.clickhouse_http.server import Server

MANY = "SELECT number, toString(number) AS text FROM numbers(200000)"


@pytest.mark.parametrize(
    ("format_name", "expected"),
    [
        ("Native", b"\x02\x00\x01a\x06UInt64\x01b\x18LowCardinality(String)"),
        ("TabSeparatedWithNamesAndTypes", b"a\tb\nUInt64\tLowCardinality(String)\n"),
        ("CSVWithNames", b'"a","b"\n'),
        ("JSONCompactEachRowWithNamesAndTypes", b'["a", "b"]\n["UInt64", "LowCardinality(String)"]\n'),
        ("RowBinaryWithNamesAndTypes", b"\x02\x01a\x01b\x06UInt64\x16LowCardinality(String)"),
        ("TabSeparated", b""),
        ("JSONEachRow", b""),
    ],
)
@pytest.mark.parametrize("where", ["clause", "header", "query string"])
def test_no_rows_keep_their_columns(server: Server, format_name: str, expected: bytes, where: str) -> None:
    """A result of no rows still names its columns, wherever the format was asked for."""
    sql = "SELECT number AS a, toLowCardinality('x') AS b FROM numbers(5) WHERE a > 7"
    if where == "clause":
        answer = server.post(f"{sql} FORMAT {format_name}")
    elif where == "header":
        answer = server.post(sql, X_ClickHouse_Format=format_name)
    else:
        answer = server.post(sql, f"/?default_format={format_name}")
    if format_name == "Native":
        expected = expected.replace(b"\x18", b"\x16")
    assert (answer.status, answer.body) == (200, expected)


def test_no_rows_in_json(server: Server) -> None:
    """The same in JSON."""
    meta = json.loads(server.ask("SELECT 1 AS a, 'x' AS b WHERE 0 FORMAT JSON"))["meta"]
    assert meta == [{"name": "a", "type": "UInt8"}, {"name": "b", "type": "String"}]


@pytest.mark.parametrize("sql", ["SELECT number AS n FROM numbers(3) WHERE n = 9", "SELECT 1 AS n LIMIT 0", "SHOW TABLES LIKE 'no such'"])
def test_no_rows_in_clickhouse_connect(server: Server, sql: str) -> None:
    """The Python client learns the column names of an empty result."""
    client = server.client()
    result = client.query(sql)
    assert result.result_rows == []
    assert tuple(result.column_names) in {("n",), ("name",)}
    client.close()


@pytest.mark.parametrize(
    "format_name",
    ["TabSeparated", "CSV", "CSVWithNames", "JSONEachRow", "JSONCompactEachRowWithNamesAndTypes", "TSVWithNamesAndTypes", "JSONCompact"],
)
def test_large_results_are_one_document(server: Server, format_name: str) -> None:
    """A result of several blocks has all rows once, and its header once."""
    answer = server.post(MANY, f"/?default_format={format_name}")
    if format_name == "JSONCompact":
        assert len(json.loads(answer.body)["data"]) == 200_000
        return
    header = {"CSVWithNames": 1, "JSONCompactEachRowWithNamesAndTypes": 2, "TSVWithNamesAndTypes": 2}.get(format_name, 0)
    lines = answer.body.splitlines()
    assert len(lines) == 200_000 + header
    assert len(set(lines)) == 200_000 + header


def test_totals_and_extremes(server: Server) -> None:
    """WITH TOTALS and extremes come after the rows as the format says."""
    sql = "SELECT number % 2 AS a, count() FROM numbers(4) GROUP BY a WITH TOTALS ORDER BY a FORMAT TabSeparated"
    assert server.post(sql).text == "0\t2\n1\t2\n\n0\t4\n"
    assert server.post("SELECT number FROM numbers(3)", "/?extremes=1").text == "0\n1\n2\n\n0\n2\n"


DECODERS = {"gzip": gzip.decompress, "lz4": lz4.frame.decompress, "zstd": zstd.decompress}


@pytest.mark.parametrize("encoding", list(DECODERS))
@pytest.mark.parametrize("format_name", ["TabSeparated", "JSON"])
def test_response_encodings(server: Server, encoding: str, format_name: str) -> None:
    """A result is compressed as the client accepts it, streamed or whole, and not when it says no."""
    target = f"/?default_format={format_name}"
    answer = server.post(MANY, target, Accept_Encoding=encoding)
    assert answer.headers["content-encoding"] == encoding
    plain = DECODERS[encoding](answer.body)
    assert plain.count(b"\n") >= 200_000
    assert "content-encoding" not in server.post(MANY, target + "&enable_http_compression=0", Accept_Encoding=encoding).headers
    assert "content-encoding" not in server.post(MANY, target).headers


def test_native_compressed_blocks(server: Server) -> None:
    """`compress=1` gives ClickHouse's own blocks with their checksums, which another implementation can read."""
    body = server.post(MANY, "/?compress=1").body
    decompressor = BlockDecompressor()
    assert decompressor.decompress(body) == server.post(MANY).body
    decompressor.finish()
    size = int.from_bytes(body[17:21], "little")
    assert lz4.block.decompress(body[25 : 16 + size], uncompressed_size=int.from_bytes(body[21:25], "little")).startswith(b"0\t0\n1\t1\n")


@pytest.mark.parametrize("target", ["/", "/?compress=1", "/?wait_end_of_query=1"])
def test_error_after_the_first_block(server: Server, target: str) -> None:
    """It is marked in the body by the tag of a header; with wait_end_of_query it is an ordinary error."""
    sql = "SELECT throwIf(number = 150000), number FROM numbers(200000) SETTINGS max_block_size = 1000"
    answer = server.post(sql, target)
    if "wait" in target:
        assert (answer.status, answer.code) == (500, 395)
        return
    body = BlockDecompressor().decompress(answer.body) if "compress" in target else answer.body
    tag = answer.headers["x-clickhouse-exception-tag"]
    assert answer.status == 200
    assert body.endswith(f" {tag}\r\n__exception__\r\n".encode())
    assert f"__exception__\r\n{tag}\r\nCode: 395. DB::Exception".encode() in body


def test_no_stale_output_after_a_failure(server: Server) -> None:
    """A query that fails half way leaves nothing in the answers to the next ones (the raw engine does)."""
    failing = "SELECT throwIf(number = 5), number FROM numbers(10) SETTINGS max_block_size = 1"
    client = server.client()
    for _ in range(5):
        with pytest.raises(DatabaseError, match="395"):
            client.query(failing)
        assert client.query("SELECT 44 AS x").result_rows == [(44,)]
        assert server.post(failing + " FORMAT JSON").code == 395
        assert server.ask("SELECT 45") == "45"
    client.close()


def test_keep_alive(server: Server) -> None:
    """One connection serves many requests, failing ones between them."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for sql, status in [("SELECT 1", 200), ("SELECT", 400), (MANY, 200), ("INSERT INTO nothing FORMAT CSV\n1\n", 403), ("SELECT 2", 200)]:
        connection.request("POST", "/", sql)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()
