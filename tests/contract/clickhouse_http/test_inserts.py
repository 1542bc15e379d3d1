"""Inserts: every row or an error, whatever the format, the encoding and the way the body arrives."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib
from collections.abc import Callable, Iterator

import lz4.frame
import pytest
from backports import zstd

from pipeline.embedded import native_blocks
from tests.contract.clickhouse_http.server import PASSWORD, USER, Answer, Server

LINES = [b'{"n":%d,"text":"line %d"}\n' % (number, number) for number in range(25_000)]
TOTAL = f"25000\t25000\t{25_000 * 24_999 // 2}"


@pytest.fixture
def made(server: Server, table: str) -> str:
    server.ask(f"CREATE TABLE {table} (n UInt64, text String) ENGINE = MergeTree ORDER BY n", writer=True)
    return table


def total(server: Server, table: str) -> str:
    return server.ask(f"SELECT count(), uniqExact(text), sum(n) FROM {table}")


def written(answer: Answer) -> int:
    assert answer.status == 200, answer.text
    return int(json.loads(answer.headers["x-clickhouse-summary"])["written_rows"])


def in_frames(compress: Callable[[bytes], bytes]) -> bytes:
    """The body as clickhouse-connect sends it: a frame for each part."""
    return b"".join(compress(b"".join(LINES[start : start + 4_000])) for start in range(0, len(LINES), 4_000))


BODIES: dict[str, Callable[[], bytes]] = {
    "identity": lambda: b"".join(LINES),
    "gzip": lambda: in_frames(gzip.compress),
    "deflate": lambda: zlib.compress(b"".join(LINES)),
    "lz4": lambda: in_frames(lz4.frame.compress),
    "zstd": lambda: in_frames(zstd.compress),
}


@pytest.mark.parametrize("encoding", list(BODIES))
def test_request_encodings(server: Server, made: str, encoding: str) -> None:
    """A body of several frames is read to its end."""
    answer = server.post(BODIES[encoding](), f"/?query=INSERT+INTO+{made}+FORMAT+JSONEachRow", writer=True, Content_Encoding=encoding)
    assert written(answer) == 25_000
    assert total(server, made) == TOTAL


def test_native_compressed_body(server: Server, made: str) -> None:
    """`decompress=1` takes ClickHouse's own blocks."""
    body = b"".join(native_blocks.compress(b"".join(LINES)))
    assert written(server.post(body, f"/?decompress=1&query=INSERT+INTO+{made}+FORMAT+JSONEachRow", writer=True)) == 25_000
    assert total(server, made) == TOTAL


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", "native"])
def test_damaged_body_inserts_nothing(server: Server, made: str, encoding: str) -> None:
    """A compressed body that is cut off or damaged is an error, and no row of it is kept."""
    body = b"".join(native_blocks.compress(b"".join(LINES))) if encoding == "native" else BODIES[encoding]()
    target = f"/?query=INSERT+INTO+{made}+FORMAT+JSONEachRow" + ("&decompress=1" if encoding == "native" else "")
    headers = {} if encoding == "native" else {"Content_Encoding": encoding}
    broken = bytearray(body)
    broken[len(body) // 2] ^= 0xFF
    for damaged in (body[:-7], bytes(broken)):
        answer = server.post(damaged, target, writer=True, method="POST", **headers)
        assert answer.code in {33, 40, 89, 271, 27, 117}, answer.text
        assert answer.status in {400, 500}
    assert total(server, made).startswith("0\t")


def test_unknown_encoding(server: Server, made: str) -> None:
    """An encoding that is not known is said to be so."""
    assert server.post(b"x", f"/?query=INSERT+INTO+{made}+FORMAT+CSV", writer=True, Content_Encoding="snappy").code == 89


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"".join(LINES[:2000]) + b'{"n":"x","text":"y"}\n', 27),
        (b"".join(LINES[:2000]) + b'{"n":1,"nothing":"y"}\n', 117),
        (b"".join(LINES[:2000]) + b'{"n":1,"text":', 26),
    ],
)
def test_body_that_does_not_parse_inserts_nothing(server: Server, made: str, body: bytes, code: int) -> None:
    """The error is ClickHouse's own, and the good rows before the bad one are not kept."""
    target = f"/?input_format_skip_unknown_fields=0&query=INSERT+INTO+{made}+FORMAT+JSONEachRow"
    answer = server.post(body, target, writer=True)
    assert (answer.status, answer.code) == (400, code), answer.text
    assert total(server, made).startswith("0\t")
    assert written(server.post(LINES[0], target, writer=True)) == 1


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        ("(n UInt64, text String, CONSTRAINT low CHECK n < 1000) ENGINE = MergeTree ORDER BY n", 469),
        ("(n UInt64, text String) ENGINE = MergeTree ORDER BY n PARTITION BY n % 500", 252),
        ("(n UInt64, text String DEFAULT throwIf(n = 1500)) ENGINE = MergeTree ORDER BY n", 395),
        ("(n UInt64, text String) ENGINE = MergeTree ORDER BY n SETTINGS min_free_disk_bytes_to_perform_insert = 1000000000000000", 243),
    ],
)
def test_rows_the_table_does_not_take(server: Server, table: str, definition: str, code: int) -> None:
    """What fails behind the parser is an error too, not an answer of 200 with rows that are nowhere."""
    server.ask(f"CREATE TABLE {table} {definition}", writer=True)
    body = b"".join(b'{"n":%d}\n' % number for number in range(2_000))
    assert server.post(body, f"/?query=INSERT+INTO+{table}+FORMAT+JSONEachRow", writer=True).code == code
    assert server.ask(f"SELECT count() FROM {table}") == "0"


def test_failing_materialized_view(server: Server, made: str) -> None:
    """An insert whose view fails is not acknowledged."""
    server.ask(f"CREATE MATERIALIZED VIEW {made}_mv ENGINE = MergeTree ORDER BY n AS SELECT intDiv(1, n - 5) AS n FROM {made}", writer=True)
    assert server.post(b"".join(LINES[:10]), f"/?query=INSERT+INTO+{made}+FORMAT+JSONEachRow", writer=True).code == 153
    server.ask(f"DROP TABLE {made}_mv", writer=True)


def test_client_that_goes_away_inserts_nothing(server: Server, made: str) -> None:
    """A body that ends before its length is not committed."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", f"/?query=INSERT+INTO+{made}+FORMAT+JSONEachRow")
    for name, value in {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD, "Content-Length": "1000000"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(b"".join(LINES[:10_000]))
    connection.close()
    server.wait_until(lambda: server.ask("SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'") == "0")
    assert total(server, made).startswith("0\t")


def test_chunked_body(server: Server, made: str) -> None:
    """A body without a length arrives piece by piece."""

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(LINES), 100):
            yield b"".join(LINES[start : start + 100])

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD}
    connection.request("POST", f"/?query=INSERT+INTO+{made}+FORMAT+JSONEachRow", pieces(), headers, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.close()
    assert total(server, made) == TOTAL


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO {table} FORMAT CSV\n1,one\n2,two\n",
        "INSERT INTO {table} FORMAT CSV 1,one\n2,two\n",
        'insert into {table} (n, text) format JSONEachRow {{"n":1,"text":"one"}} {{"n":2,"text":"two"}}',
        "INSERT INTO {table} VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO {table} (text, n) VALUES ('one', 1), (concat('t', 'wo'), 1 + 1);",
        "INSERT INTO telemetry.{table} SETTINGS async_insert = 0 VALUES (1,'one') (2,'two')",
        "/* a comment */ INSERT INTO {table} -- VALUES\n VALUES (1, 'one'), (2, 'two')",
        "INSERT INTO {table} SELECT number + 1, ['one', 'two'][number + 1] FROM numbers(2)",
        "INSERT INTO {table} WITH 1 AS x SELECT number + x, ['one', 'two'][number + 1] FROM numbers(2)",
        "INSERT INTO {table} SELECT * FROM values('n UInt64, text String', (1, 'one'), (2, 'two'))",
    ],
)
def test_forms_of_insert(server: Server, made: str, text: str) -> None:
    """The statement and its data in one text, in all the forms people write."""
    assert written(server.post(text.format(table=made), writer=True)) == 2
    assert server.ask(f"SELECT * FROM {made} ORDER BY n") == "1\tone\n2\ttwo"


@pytest.mark.parametrize(
    ("query", "body"), [("VALUES", "(1,'a'),(2,'b FORMAT CSV c')"), ("FORMAT TSV", "1\ta\n2\tb FORMAT CSV c"), ("", "")]
)
def test_statement_in_the_query_string(server: Server, made: str, query: str, body: str) -> None:
    """The body begins where the statement ends; an empty one inserts nothing."""
    answer = server.post(body, f"/?query=INSERT+INTO+{made}+{(query or 'FORMAT CSV').replace(' ', '+')}", writer=True)
    assert written(answer) == (2 if body else 0)


def test_parameters_of_an_insert(server: Server, made: str) -> None:
    """`param_x` works in inserts with data too."""
    answer = server.post("INSERT INTO {t:Identifier} VALUES (1, {x:String})", f"/?param_t={made}&param_x=it%27s", writer=True)
    assert written(answer) == 1
    assert server.ask(f"SELECT text = 'it\\'s' FROM {made}") == "1"


def test_large_values_are_inserted_without_expressions(server: Server, made: str) -> None:
    """A VALUES list that is too long to be judged is read as literals only."""
    rows = ",".join(f"({number},'{'x' * 40}')" for number in range(40_000))
    assert written(server.post(f"INSERT INTO {made} VALUES {rows}", writer=True)) == 40_000
    for expression in ("1 + 1", "length(file('/etc/hostname'))"):
        assert server.post(f"INSERT INTO {made} VALUES {rows},({expression},'x')", writer=True).code == 344
    evaluate = "input_format_values_interpret_expressions"
    rows += ",(length(file('/etc/hostname')),'x')"
    assert server.post(f"INSERT INTO {made} VALUES {rows}", f"/?{evaluate}=1", writer=True).code == 344
    assert server.post(f"INSERT INTO {made} SETTINGS {evaluate} = 1 VALUES {rows}", writer=True).code == 497
    assert total(server, made).startswith("40000\t")


def test_written_rows_count_materialized_views_too(server: Server, made: str) -> None:
    """The summary says what a server's says: rows of the table and of the views it feeds."""
    server.ask(f"CREATE MATERIALIZED VIEW {made}_mv ENGINE = MergeTree ORDER BY n AS SELECT n FROM {made}", writer=True)
    assert written(server.post(b"".join(LINES[:10]), f"/?query=INSERT+INTO+{made}+FORMAT+JSONEachRow", writer=True)) == 20
    assert server.ask(f"SELECT count() FROM {made}_mv") == "10"
    server.ask(f"DROP TABLE {made}_mv", writer=True)


def test_deduplication_token(server: Server, table: str) -> None:
    """The same token again writes nothing, also with the explicit settings clients send."""
    settings = "SETTINGS non_replicated_deduplication_window = 100"
    server.ask(f"CREATE TABLE {table} (n UInt64, text String) ENGINE = MergeTree ORDER BY n {settings}", writer=True)
    target = "/?async_insert=0&deduplicate_blocks_in_dependent_materialized_views=1&insert_deduplication_token=a-0-1"
    for _ in range(3):
        assert server.post(b"".join(LINES[:10]), f"{target}&query=INSERT+INTO+{table}+FORMAT+JSONEachRow", writer=True).status == 200
    assert total(server, table).startswith("10\t")


def test_rows_are_there_when_the_insert_is_answered(server: Server, made: str) -> None:
    """Whatever is said of async_insert, the next query sees the rows."""
    for asynchronous in ("0", "1"):
        target = f"/?async_insert={asynchronous}&wait_for_async_insert=1&query=INSERT+INTO+{made}+FORMAT+JSONEachRow"
        assert server.post(LINES[0], target, writer=True).status == 200
    assert total(server, made).startswith("2\t")
