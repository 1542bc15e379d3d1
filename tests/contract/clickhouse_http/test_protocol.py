"""The HTTP protocol by hand: addresses, users, statuses, error numbers, parameters, sessions."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.contract.clickhouse_http.server import PASSWORD, USER, Server


@pytest.mark.parametrize("path", ["/ping", "/replicas_status"])
def test_ping(server: Server, path: str) -> None:
    """What load balancers ask is answered without credentials, byte for byte."""
    answer = server.post(target=path, method="GET")
    assert (answer.status, answer.body) == (200, b"Ok.\n")


def test_health_and_metrics(server: Server) -> None:
    """Monitors find the three paths of every role on the same port."""
    assert server.post(target="/healthz", method="GET").status == 200
    assert server.post(target="/readyz", method="GET").status == 200
    server.ask("SELECT 1")
    metrics = server.post(target="/metrics", method="GET").text
    assert 'nutricoach_clickhouse_requests_total{outcome="ok",user="reader",verb="SELECT"}' in metrics


def test_headers_of_an_answer(server: Server) -> None:
    """A result says its query, server, format, time zone and what was read."""
    answer = server.post("SELECT number FROM numbers(10) FORMAT JSONCompact", "/?query_id=my-id")
    assert answer.headers["x-clickhouse-query-id"] == "my-id"
    assert answer.headers["x-clickhouse-format"] == "JSONCompact"
    assert answer.headers["x-clickhouse-timezone"] == "UTC"
    assert answer.headers["x-clickhouse-server-display-name"]
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert json.loads(answer.headers["x-clickhouse-summary"])["result_rows"] == "10"


def test_time_is_utc(server: Server) -> None:
    """The engine runs in UTC, so that a DateTime means the same in every format."""
    assert server.ask("SELECT timezone(), toDateTime('2026-11-23 10:00:00', 'UTC') = toDateTime(1795428000)") == "UTC\t1"


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({"X_ClickHouse_User": USER, "X_ClickHouse_Key": PASSWORD}, "/"),
        ({"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}, "/"),
        ({}, f"/?user={USER}&password={PASSWORD}"),
    ],
)
def test_writer_is_known_by_header_basic_and_query(server: Server, table: str, headers: dict[str, Any], target: str) -> None:
    """Credentials are accepted in the three places clients put them."""
    assert server.post(f"CREATE TABLE {table} (a Int8) ENGINE = Memory", target, **headers).status == 200


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("somebody", PASSWORD), ("default", "x"), (USER, "")])
def test_wrong_credentials(server: Server, user: str, password: str) -> None:
    """They are refused with ClickHouse's error, not treated as the reader's."""
    answer = server.post("SELECT 1", X_ClickHouse_User=user, X_ClickHouse_Key=password)
    assert (answer.status, answer.code) == (403, 516)
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(("user", "password"), [("default", ""), ("", "")])
def test_default_user_is_the_reader(server: Server, user: str, password: str) -> None:
    """What clients send when no credentials are configured."""
    assert server.post("SELECT 1", X_ClickHouse_User=user, X_ClickHouse_Key=password).text == "1\n"


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELECT", 400, 62, "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, 62, "SYNTAX_ERROR"),
        ("SELECT * FROM no_such_table", 404, 60, "UNKNOWN_TABLE"),
        ("SELECT no_such_column", 404, 47, "UNKNOWN_IDENTIFIER"),
        ("SELECT no_such_function()", 404, 46, "UNKNOWN_FUNCTION"),
        ("SELECT * FROM no_such_database.t", 404, 81, "UNKNOWN_DATABASE"),
        ("SELECT 1 FORMAT NoSuchFormat", 404, 73, "UNKNOWN_FORMAT"),
        ("SELECT 1 SETTINGS no_such_setting = 1", 404, 115, "UNKNOWN_SETTING"),
        ("SELECT throwIf(1)", 500, 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("SELECT toUInt8('x')", 400, 6, "CANNOT_PARSE_TEXT"),
        ("SELECT {x:UInt8}", 400, 456, "UNKNOWN_QUERY_PARAMETER"),
    ],
)
def test_errors(server: Server, sql: str, status: int, code: int, name: str) -> None:
    """An error has ClickHouse's number in a header, its name in the text, and the status its server gives it."""
    answer = server.post(sql)
    assert (answer.status, answer.code) == (status, code), answer.text
    assert f"Code: {code}. DB::Exception: " in answer.text
    assert f"({name})" in answer.text


def test_errors_in_the_query_string(server: Server) -> None:
    """Unknown settings and databases of the query string are errors as they are in SQL."""
    assert server.post("SELECT 1", "/?no_such_setting=1").code == 115
    assert server.post("SELECT 1", "/?database=no_such_database").code == 81
    assert server.post("SELECT 1", X_ClickHouse_Database="no_such_database").code == 81


def test_database_of_a_request(server: Server) -> None:
    """Without one, and for `default`, it is telemetry."""
    assert server.ask("SELECT currentDatabase()") == "telemetry"
    assert server.post("SELECT currentDatabase()", "/?database=default").text == "telemetry\n"
    assert server.post("SELECT currentDatabase()", "/?database=system").text == "system\n"
    assert server.post("SELECT currentDatabase()", X_ClickHouse_Database="information_schema").text == "information_schema\n"


def test_statement_in_query_string_body_or_both(server: Server) -> None:
    """The body follows the query string; a GET has only the latter; without a statement the answer is Ok."""
    assert server.post(target="/?query=SELECT+1", method="GET").text == "1\n"
    assert server.post("1", "/?query=SELECT").text == "1\n"
    assert server.post("SELECT 1 -- a comment at the end").text == "1\n"
    assert server.post("SELECT 1;").text == "1\n"
    assert server.post().text == "Ok.\n"


def test_request_line_of_100_kb(server: Server) -> None:
    """Long parameters in the address are accepted, as clickhouse-connect sends them."""
    value = "x" * 95_000
    assert server.post("SELECT length({v:String})", f"/?param_v={value}").text == "95000\n"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("String", "it's", "it\\'s"),  # TabSeparated escapes quotes
        ("String", "a\\tb", "a\\tb"),
        ("Int32", "-5", "-5"),
        ("Array(String)", "['a','b']", "['a','b']"),
        ("Map(String, UInt8)", "{'a':1}", "{'a':1}"),
        ("DateTime64(3)", "2026-11-23 10:00:00.123", "2026-11-23 10:00:00.123"),
        ("Nullable(String)", "\\N", "\\N"),
        ("Identifier", "number", "0"),
    ],
)
def test_parameters(server: Server, kind: str, value: str, expected: str) -> None:
    """`param_x` fills `{x:Type}`, in the escaped form a server reads."""
    assert server.post(f"SELECT {{x:{kind}}} FROM numbers(1)", "/?" + urlencode({"param_x": value})).text == expected + "\n"


def test_parameterised_view(server: Server, table: str) -> None:
    """A view with parameters is called like a function, by readers too, with and without its database."""
    server.ask(f"CREATE OR REPLACE VIEW {table} AS SELECT number FROM numbers(10) WHERE number < {{top:UInt8}}", writer=True)
    assert server.ask(f"SELECT count() FROM {table}(top = 4)") == "4"
    assert server.ask(f"SELECT count() FROM telemetry.{table}(top = 5)") == "5"
    assert server.post(f"SELECT count() FROM {table}(top = {{t:UInt8}})", "/?param_t=6").text == "6\n"
    assert "{top:UInt8}" in server.ask(f"SHOW CREATE TABLE {table}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() > 0 FROM system.tables",
        "SELECT count() > 0 FROM system.columns",
        "SELECT count() > 0 FROM information_schema.tables",
        "SELECT count() > 0 FROM system.settings WHERE name = 'max_execution_time' AND readonly = 0",
        "SHOW DATABASES",
        "SHOW TABLES",
        "DESCRIBE TABLE system.one",
        "DESC system.one",
        "EXISTS TABLE system.one",
        "EXPLAIN SELECT 1",
        "EXPLAIN SYNTAX SELECT 1",
        "EXPLAIN PIPELINE SELECT 1",
        "SHOW PROCESSLIST",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH 1 AS x SELECT x",
        "FROM system.one SELECT dummy",
    ],
)
def test_reader_may_ask(server: Server, sql: str) -> None:
    """A reader sees data and structure in every form clients use."""
    assert server.post(sql).status == 200


def test_session_keeps_settings_database_and_temporary_tables(server: Server) -> None:
    """SET, USE and temporary tables last from request to request of one session, and for nobody else."""
    session = f"/?session_id={uuid.uuid4()}"

    def ask(sql: str, more: str = "") -> str:
        answer = server.post(sql, session + more, writer=True)
        assert answer.status == 200, answer.text
        return answer.text.strip()

    ask("SET max_threads = 3")
    ask("USE system")
    ask("CREATE TEMPORARY TABLE mine (a UInt8)")
    ask("INSERT INTO mine VALUES (1), (2)")
    assert ask("SELECT sum(a), getSetting('max_threads'), currentDatabase() FROM mine") == "3\t3\tsystem"
    assert ask("SELECT getSetting('max_threads')", "&max_threads=2") == "2"
    assert ask("SELECT getSetting('max_threads'), sum(a) FROM mine") == "3\t3"
    assert server.post("SELECT throwIf(number = 3) FROM numbers(5)", session, writer=True).code == 395
    assert ask("SELECT sum(a) FROM mine") == "3"
    ask("INSERT INTO mine VALUES " + ",".join(["(0)"] * 300_000))
    ask("INSERT INTO mine VALUES (2 + 2)")
    assert ask("SELECT sum(a) FROM mine") == "7"
    assert server.post("SELECT * FROM mine", writer=True).code == 60
    assert server.post("SELECT getSetting('max_threads') = 3", writer=True).text == "0\n"


def test_session_check(server: Server) -> None:
    """A session that must exist and does not is error 372."""
    session = f"session_id={uuid.uuid4()}"
    assert server.post("SELECT 1", f"/?{session}&session_check=1").code == 372
    assert server.post("SELECT 1", f"/?{session}").status == 200
    assert server.post("SELECT 1", f"/?{session}&session_check=1").status == 200


def test_external_table(server: Server) -> None:
    """A table sent as a form part is there for its query only, with names or only with types."""
    body = b'--B\r\nContent-Disposition: form-data; name="ext"; filename="ext"\r\n\r\n1\tone\n2\ttwo\n\r\n--B--\r\n'
    sql = quote("SELECT * FROM ext ORDER BY 1 DESC")
    for columns in ("ext_structure=" + quote("n UInt8, name String"), "ext_types=UInt8,String"):
        answer = server.post(body, f"/?query={sql}&{columns}", Content_Type="multipart/form-data; boundary=B")
        assert answer.text == "2\ttwo\n1\tone\n"
    assert server.post("SELECT * FROM ext").code == 60
