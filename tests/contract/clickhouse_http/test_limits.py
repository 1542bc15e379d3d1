"""What a reader may use up, and what happens to the queries of clients that go away."""

from __future__ import annotations

import asyncio
import socket
import uuid

import aiohttp
import pytest

from pipeline.embedded.engine_calls import READERS
from tests.contract.clickhouse_http.server import Server

ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"


@pytest.mark.parametrize(
    ("name", "value"), [("max_execution_time", "60"), ("max_memory_usage", str(2 * 1024**3)), ("readonly", "2"), ("implicit_select", "0")]
)
def test_settings_of_a_reader(server: Server, name: str, value: str) -> None:
    """A reader starts with limits, and not with chDB's own habits."""
    assert server.ask(f"SELECT getSetting('{name}')").replace("false", "0") == value


def test_time_limit(server: Server) -> None:
    """max_execution_time ends a query with ClickHouse's error."""
    answer = server.post(ENDLESS, "/?max_execution_time=1")
    assert (answer.status, answer.code) == (408, 159)


def test_memory_limit(server: Server) -> None:
    """max_memory_usage too."""
    answer = server.post("SELECT groupArray(number) FROM numbers(100000000) FORMAT Null", "/?max_memory_usage=50000000")
    assert (answer.status, answer.code) == (507, 241), answer.text


def running_queries(server: Server, mark: str) -> int:
    return int(server.ask(f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%system.processes%'"))


@pytest.mark.parametrize(
    "sql",
    [
        ENDLESS + " AND 1 = 1 /* {mark} */",
        "SELECT sipHash64(number) FROM numbers(1000000000000) /* {mark} */",
        ENDLESS + " /* {mark} */ FORMAT JSON",
    ],
    ids=["no block yet", "in the middle of a stream", "whole result"],
)
def test_disconnect_ends_the_query(server: Server, sql: str) -> None:
    """When a client goes away its query is stopped, wherever it is."""
    mark = uuid.uuid4().hex
    body = sql.format(mark=mark).encode()
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    server.wait_until(lambda: running_queries(server, mark) == 1)
    connection.close()
    server.wait_until(lambda: running_queries(server, mark) == 0)


async def test_too_many_queries(server: Server) -> None:
    """Beyond the running and the waiting ones a query is told to come back; the writer is not held up by readers."""
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def ask(sql: str, **parameters: str) -> tuple[int, str]:
            async with http.post("/", data=sql, params=parameters) as answer:
                return answer.status, answer.headers.get("X-ClickHouse-Exception-Code", "0")

        def waiting() -> int:
            metrics = server.post(target="/metrics", method="GET").text
            return int(float(metrics.partition('nutricoach_clickhouse_waiting_statements{user="reader"} ')[2].partition("\n")[0]))

        busy = [asyncio.create_task(ask(ENDLESS)) for _ in range(READERS)]
        queued = [asyncio.create_task(ask("SELECT 1")) for _ in range(READERS * 8)]
        await asyncio.to_thread(server.wait_until, lambda: waiting() == READERS * 8)
        assert await ask("SELECT 1") == (503, "202")
        assert (await asyncio.to_thread(server.post, "SELECT 1", writer=True)).text == "1\n"
        for task in busy:
            task.cancel()
        assert await asyncio.gather(*queued) == [(200, "0")] * READERS * 8


def test_session_in_use(server: Server) -> None:
    """A second request of a session that is busy gets error 373."""
    session = f"/?session_id={uuid.uuid4()}"
    mark = uuid.uuid4().hex
    body = f"{ENDLESS} /* {mark} */".encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"POST {session} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        server.wait_until(lambda: running_queries(server, mark) == 1)
        assert server.post("SELECT 1", session).code == 373
    server.wait_until(lambda: server.post("SELECT 1", session).status == 200)
