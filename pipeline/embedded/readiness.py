"""Asks a process of the stack whether it is ready, in the protocol it speaks."""

from __future__ import annotations

import http.client
import socket
import struct
from urllib.parse import urlsplit

_KAFKA_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # size, key, version, correlation id, no client id


def is_ready(address: str, timeout_s: float = 2.0) -> bool:
    """True when `kafka://host:port` answers a request, or `http://host:port/path` answers 200, within `timeout_s`."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or 0
    if parts.scheme == "kafka":
        return _kafka_answers(host, port, timeout_s)
    return _http_says_ok(host, port, parts.path, timeout_s)


def _kafka_answers(host: str, port: int, timeout_s: float) -> bool:
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.sendall(_KAFKA_API_VERSIONS)
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def _http_says_ok(host: str, port: int, path: str, timeout_s: float) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
