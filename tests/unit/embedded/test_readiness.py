from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pipeline.embedded.readiness import is_ready


@contextmanager
def server(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Answers one connection with `answer` once it has been asked something; yields its port and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(1000))
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "ready"), [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 Busy\r\n\r\n", False), (b"nonsense", False)]
)
def test_http_is_ready_when_the_path_answers_200(answer: bytes, ready: bool) -> None:
    """Only 200 counts, and the path asked for is the one given."""
    with server(answer) as (port, asked):
        assert is_ready(f"http://127.0.0.1:{port}/readyz") is ready
    assert asked[0].startswith(b"GET /readyz HTTP/1.1\r\n")


def test_kafka_is_asked_in_its_protocol() -> None:
    """The request is ApiVersions v0 as Kafka's protocol guide has it: size, key 18, version 0, correlation id, null client id."""
    with server(struct.pack(">i", 6) + bytes(6)) as (port, asked):
        assert is_ready(f"kafka://127.0.0.1:{port}")
    assert asked == [bytes.fromhex("0000000a 0012 0000 00000001 ffff")]


@pytest.mark.parametrize("scheme", ["http", "kafka"])
def test_nobody_listening_is_not_ready(scheme: str) -> None:
    """A refused connection is an answer: no."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not is_ready(f"{scheme}://127.0.0.1:{port}/")


@pytest.mark.parametrize("scheme", ["http", "kafka"])
def test_silence_is_not_ready(scheme: str) -> None:
    """A process that takes connections and does not answer (a stopped one) is not ready, after the time-out given."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not is_ready(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.05)
