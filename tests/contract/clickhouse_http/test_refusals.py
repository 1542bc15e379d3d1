"""Nobody reaches files, processes or the network through the engine, however the statement is written."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.contract.clickhouse_http.server import Server, running

SECRET = "the-secret-line"
REFUSED = {497, 164, 62, 73, 60, 46, 81, 636}


@pytest.fixture(scope="module")
def target(server: Server) -> str:
    """An empty table that stays empty."""
    server.ask("CREATE TABLE refusals (a String) ENGINE = MergeTree ORDER BY tuple()", writer=True)
    return "refusals"


@pytest.fixture
def secret_file(tmp_path: Path) -> str:
    path = tmp_path / "secret.csv"
    path.write_text(SECRET + "\n")
    return str(path)


READING = [
    "SELECT file('{file}')",
    "SELECT FILE ('{file}')",
    "SELECT/**/file/* ( */('{file}')",
    "SELECT `fi\\x6ce`('{file}')",
    "SELECT \"file\"('{file}')",
    "SELECT file(char(47) || '{file}')",
    "WITH x AS (SELECT file('{file}') AS line) SELECT * FROM x",
    "SELECT (SELECT file('{file}'))",
    "SELECT arrayMap(x -> file(x), ['{file}'])",
    "SELECT * FROM file('{file}', 'CSV', 'line String')",
    "SELECT * FROM `{file}`",
    "SELECT * FROM default.`{file}`",
    "SELECT * FROM {{t:Identifier}}",
    "SELECT * FROM default.{{t:Identifier}}",
    "SELECT 1 IN file('{file}', 'CSV', 'line String')",
    "DESCRIBE TABLE file('{file}')",
    "DESCRIBE TABLE (SELECT * FROM file('{file}'))",
    "EXPLAIN SELECT * FROM file('{file}')",
    "EXPLAIN AST SELECT 1; SELECT file('{file}')",
    "SELECT 1; SELECT file('{file}')",
    "SELECT * FROM fileCluster('default', '{file}', 'LineAsString')",
    "SELECT * FROM filesystem('{file}')",
    "SELECT * FROM view(SELECT file('{file}'))",
    "SELECT * FROM viewIfPermitted(SELECT file('{file}') AS line ELSE null('line String'))",
    "SELECT * FROM loop(file('{file}', 'CSV', 'line String')) LIMIT 1",
    "SELECT * FROM sqlite('{file}', 't')",
    "SELECT * FROM python('x')",
    "SELECT * FROM executable('cat {file}', 'LineAsString', 'line String')",
    "SELECT * FROM eval('SELECT file(''{file}'')') SETTINGS allow_experimental_eval_table_function = 1",
    "SELECT 'x' AS line FORMAT Template SETTINGS format_template_resultset = '{file}'",
    "SELECT 'x' AS line FORMAT Protobuf SETTINGS format_schema = '{file}:M'",
    "SELECT * FROM merge(REGEXP('.*'), '.*secret.*')",
    "SELECT hasColumnInTable('127.0.0.1:1', 'default', '', 'a', 'b', 'c')",
    "SELECT aiGenerate('x')",
    "SELECT addressToLine(1)",
    "SELECT * FROM system.stack_trace",
    "SELECT * FROM `system`.`stack_trace`",
    "SELECT 1 INTO OUTFILE '{file}.out'",
    "SELECT 1 INTO/**/OUTFILE '{file}.out' FORMAT CSV",
]

WRITING = [
    "INSERT INTO FUNCTION file('{file}.out', 'CSV', 'a String') VALUES ('x')",
    "INSERT INTO FUNCTION file('{file}.out', 'CSV', 'a String') SELECT 'x'",
    "INSERT INTO TABLE FUNCTION s3('http://127.0.0.1:1/b', 'CSV') SELECT 'x'",
    "INSERT INTO {table} FROM INFILE '{file}' FORMAT CSV",
    "INSERT INTO {table} SELECT file('{file}')",
    "INSERT INTO {table} VALUES (file('{file}'))",
    "INSERT INTO {table} VALUES (/* ' */ file('{file}')) -- '",
    "INSERT INTO {table} VALUES ((SELECT line FROM file('{file}', 'CSV', 'line String')))",
    "INSERT INTO {table} VALUES (`fi\\x6ce`('{file}'))",
    "INSERT INTO {table} FORMAT Template SETTINGS format_template_row = '{file}' x",
    "CREATE TABLE {table}_x (a String) ENGINE = File(CSV, '{file}')",
    "CREATE TABLE {table}_x (a String) ENGINE = URL('http://127.0.0.1:1/', CSV)",
    "CREATE TABLE {table}_x (a String) ENGINE=`URL`('http://127.0.0.1:1/', CSV)",
    "CREATE TABLE {table}_x (a String) ENGINE = Distributed(default, telemetry, {table})",
    "CREATE TABLE {table}_x (a String) ENGINE = S3('http://127.0.0.1:1/b/k', 'CSV')",
    "CREATE TABLE {table}_x (a String) ENGINE = Kafka('127.0.0.1:1', 'a', 'b', 'CSV')",
    "CREATE TABLE {table}_x (a String) ENGINE = Executable('cat', CSV)",
    "CREATE TABLE {table}_x (a String) ENGINE = EmbeddedRocksDB(0, '{file}.db') PRIMARY KEY a",
    "CREATE TABLE {table}_x (a String) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = 'local', path = '{file}.d/')",
    "CREATE TABLE {table}_x (a String DEFAULT file('{file}')) ENGINE = MergeTree ORDER BY a",
    "CREATE TABLE {table}_x AS file('{file}', 'CSV', 'a String')",
    "CREATE TABLE {table}_x (a Int8) ENGINE = Memory PARALLEL WITH CREATE TABLE {table}_y (a String) ENGINE = File(CSV, '{file}')",
    "CREATE VIEW {table}_x AS SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    "CREATE MATERIALIZED VIEW {table}_x ENGINE = URL('http://127.0.0.1:1/', CSV) AS SELECT * FROM {table}",
    "CREATE DICTIONARY {table}_x (a UInt64) PRIMARY KEY a SOURCE(FILE(PATH '{file}' FORMAT CSV)) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DICTIONARY {table}_x (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY 'SELECT file(1)')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE DATABASE {table}_x ENGINE = Filesystem('/')",
    "CREATE DATABASE {table}_x ENGINE = Overlay('default')",
    "CREATE NAMED COLLECTION {table}_x AS url = 'http://127.0.0.1:1/'",
    "CREATE FUNCTION {table}_x AS x -> file(x)",
    "ALTER TABLE {table} MODIFY COLUMN a String DEFAULT file('{file}')",
    "ALTER TABLE {table} UPDATE a = file('{file}') WHERE 1 SETTINGS mutations_sync = 1",
    "ALTER TABLE {table} FETCH PARTITION tuple() FROM '/x'",
    "DELETE FROM {table} WHERE a = file('{file}')",
    "ATTACH TABLE {table}_x FROM '{file}' (a String) ENGINE = Memory",
    "ATTACH DATABASE {table}_x ENGINE = Filesystem('/')",
    "BACKUP TABLE {table} TO File('{file}.backup')",
    "RESTORE TABLE {table} FROM File('{file}.backup')",
    "SYSTEM SHUTDOWN",
    "SYSTEM /**/ SHUTDOWN",
    "system\nkill",
    "SYSTEM RELOAD CONFIG",
    "SYSTEM DROP REPLICA 'x'",
    "EXECUTE AS default SELECT 1",
    "DROP DATABASE default",
    "DROP DATABASE IF EXISTS default",
    "DROP DATABASE system",
    "DROP TABLE system.one",
    "DETACH DATABASE telemetry",
    "CREATE TABLE default.{table}_x (a Int8) ENGINE = Memory",
    "SET dialect = 'kusto'",
    "GRANT SELECT ON *.* TO default",
]


@pytest.mark.parametrize("writer", [False, True], ids=["reader", "writer"])
@pytest.mark.parametrize("sql", READING)
def test_reading_outwards_is_refused(server: Server, secret_file: str, sql: str, writer: bool) -> None:
    """Neither reader nor writer sees a line of a file, and no file is written."""
    target = "/?param_t=" + quote(secret_file, safe="")
    answer = server.post(sql.format(file=secret_file), target, writer=writer)
    assert SECRET not in answer.text
    assert answer.code in REFUSED, answer.text
    assert not Path(secret_file + ".out").exists()


@pytest.mark.parametrize("sql", WRITING)
def test_writing_outwards_is_refused(server: Server, target: str, secret_file: str, sql: str) -> None:
    """The writer is refused too, and nothing is left behind in the table or on the disk."""
    before = set(Path(secret_file).parent.iterdir())
    answer = server.post(sql.format(file=secret_file, table=target), writer=True)
    assert answer.code in REFUSED, answer.text
    assert server.ask(f"SELECT count() FROM {target}") == "0"
    assert set(Path(secret_file).parent.iterdir()) == before
    assert server.ask("SELECT 1") == "1"


@pytest.mark.parametrize("sql", [sql for sql in WRITING if "{table}" in sql])
def test_reader_writes_nothing(server: Server, target: str, secret_file: str, sql: str) -> None:
    """What the writer may not, the reader may not either."""
    assert server.post(sql.format(file=secret_file, table=target)).code in REFUSED


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO {table} VALUES ('x')",
        "INSERT INTO {table} SELECT 'x'",
        "CREATE TABLE {table}_x (a Int8) ENGINE = Memory",
        "CREATE TEMPORARY TABLE {table}_x (a Int8)",
        "ALTER TABLE {table} ADD COLUMN b Int8",
        "DROP TABLE {table}",
        "TRUNCATE TABLE {table}",
        "OPTIMIZE TABLE {table}",
        "SYSTEM STOP MERGES",
        "KILL QUERY WHERE 1",
        "SET max_threads = 1",
    ],
)
@pytest.mark.parametrize("how", ["reader", "writer by GET", "writer with readonly"])
def test_read_only_requests_change_nothing(server: Server, target: str, sql: str, how: str) -> None:
    """The reader, a GET, and a request with readonly=1 get error 164."""
    text = sql.format(table=target)
    if how == "writer by GET":
        answer = server.post(target="/?query=" + quote(text), method="GET", writer=True)
    else:
        path = "/?readonly=1" if how == "writer with readonly" else "/"
        answer = server.post(text, path, writer=how != "reader")
    assert (answer.status, answer.code) == (403, 164), answer.text
    assert server.ask(f"SELECT count() FROM {target}") == "0"


def test_reader_cannot_lift_its_limits(server: Server) -> None:
    """Under readonly 2 a reader may send settings, but not the one that makes it a reader."""
    assert server.post("SELECT 1", "/?max_execution_time=5").status == 200
    assert server.post("SELECT getSetting('readonly')", "/?readonly=0").text == "2\n"
    assert server.post("SELECT 1 SETTINGS readonly = 0").code == 164


@pytest.mark.parametrize("setting", ["format_schema", "format_template_row", "dialect", "allow_experimental_kusto_dialect", "a b"])
def test_settings_that_name_files_are_refused(server: Server, setting: str) -> None:
    """Not in the query string either."""
    assert server.post("SELECT 1", f"/?{quote(setting)}=x", writer=True).code in {497, 36}


def test_external_table_cannot_have_an_engine(server: Server, secret_file: str) -> None:
    """The structure of an external table is a list of columns and nothing else."""
    structure = quote(f"a String) ENGINE = File(CSV, '{secret_file}') --")
    body = b'--B\r\nContent-Disposition: form-data; name="e"; filename="e"\r\n\r\nx\n\r\n--B--\r\n'
    target = f"/?query=SELECT+*+FROM+e&e_structure={structure}"
    answer = server.post(body, target, Content_Type="multipart/form-data; boundary=B")
    assert answer.code in {497, 62}, answer.text


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bool]]]:
    """A port that notes whether anybody connects."""
    called: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            try:
                listening.accept()[0].close()
                called.append(True)
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield listening.getsockname()[1], called
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM url('http://127.0.0.1:{port}/', CSV, 'a String')",
        "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
        "SELECT * FROM s3('http://127.0.0.1:{port}/b/k', 'CSV')",
        "SELECT * FROM mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
        "SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    ],
)
def test_no_connection_leaves_the_engine(server: Server, listener: tuple[int, list[bool]], sql: str) -> None:
    """The network is not even tried."""
    port, called = listener
    assert server.post(sql.format(port=port), writer=True).code == 497
    assert called == []


def test_without_a_writer_everybody_reads(tmp_path: Path) -> None:
    """A server started without credentials has no user who may write."""
    with running(tmp_path / "data", writer=False) as alone:
        assert alone.ask("SELECT 1") == "1"
        assert alone.post("CREATE TABLE t (a Int8) ENGINE = Memory").code == 164
        assert (answer := alone.post("SELECT 1", writer=True)).status == 403, answer.text
