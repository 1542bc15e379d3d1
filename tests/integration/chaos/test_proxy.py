from __future__ import annotations

import contextlib
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pipeline.embedded.ports import free_port
from tests.chaos.proxy import FLOW, HANG, HOST, REFUSE
from tests.waiting import wait_until

ANSWER = b"0123456789"
SOON_S = 10.0


class Answering(socketserver.StreamRequestHandler):
    """Ten bytes for every line; for "later" only once that is allowed."""

    asked, allowed = threading.Event(), threading.Event()

    def handle(self) -> None:
        while line := self.rfile.readline():
            if line == b"later\n":
                self.asked.set()
                self.allowed.wait(SOON_S)
            self.wfile.write(ANSWER)


@dataclass
class Proxied:
    """A proxy, as a process, before a server of ours."""

    port: int
    process: subprocess.Popen[bytes]

    def connect(self) -> socket.socket:
        connection = wait_until(self._connected, SOON_S, "the proxy listens")
        assert connection is not None
        return connection

    def _connected(self) -> socket.socket | None:
        try:
            return socket.create_connection((HOST, self.port), SOON_S)
        except ConnectionRefusedError:
            return None


@pytest.fixture
def proxied() -> Iterator[Proxied]:
    with socketserver.ThreadingTCPServer((HOST, 0), Answering) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = free_port()
        with subprocess.Popen([sys.executable, "-m", "tests.chaos.proxy", str(port), str(server.server_address[1])]) as process:
            yield Proxied(port, process)
            process.kill()
        server.shutdown()


def ask(connection: socket.socket) -> bytes:
    connection.sendall(b"go\n")
    return connection.recv(100)


def is_silent(proxied: Proxied) -> bool:
    with proxied.connect() as connection:
        connection.settimeout(0.3)
        try:
            return not ask(connection)
        except TimeoutError:
            return True


def is_reset(proxied: Proxied) -> bool:
    """Whether it takes a connection and then no question."""
    try:
        with proxied.connect() as connection:
            return ask(connection) == b""
    except ConnectionError:
        return True


def serves(proxied: Proxied) -> bool:
    """Whether a new connection is answered."""
    try:
        with proxied.connect() as connection:
            return ask(connection) == ANSWER
    except ConnectionError:
        return False


def test_half_a_response_comes_and_the_rest_when_the_hang_is_over(proxied: Proxied) -> None:
    """A client in the middle of an answer keeps its connection and gets what was held back."""
    with proxied.connect() as connection:
        assert ask(connection) == ANSWER
        connection.sendall(b"later\n")
        assert Answering.asked.wait(SOON_S)
        proxied.process.send_signal(HANG)
        wait_until(lambda: is_silent(proxied), SOON_S, "it hangs")
        Answering.allowed.set()
        assert connection.recv(100) == ANSWER[:5]
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(100)
        connection.settimeout(SOON_S)
        proxied.process.send_signal(FLOW)
        assert connection.recv(100) == ANSWER[5:]
        assert ask(connection) == ANSWER


def test_connections_are_reset_while_it_refuses(proxied: Proxied) -> None:
    """Open ones and new ones; afterwards it serves again, and a signal ends it."""
    with proxied.connect() as connection:
        assert ask(connection) == ANSWER
        proxied.process.send_signal(REFUSE)
        wait_until(lambda: is_reset(proxied), SOON_S, "it refuses")
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
        proxied.process.send_signal(FLOW)
    wait_until(lambda: serves(proxied), SOON_S, "it serves again")
    proxied.process.send_signal(signal.SIGTERM)
    assert proxied.process.wait(SOON_S) == -signal.SIGTERM
