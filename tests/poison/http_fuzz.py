"""Hypothesis strategies for requests to the gateway that nobody should send, and a client that sends exactly these bytes."""

from __future__ import annotations

import gzip
import json
import socket
from dataclasses import dataclass
from typing import Final

from backports.zstd import compress as zstd_compress
from hypothesis import strategies as st

from tests.poison.mutations import NEARLY, SMUGGLED
from tests.poison.valid_events import PLAIN

#: Stands in every body and header, so that it can be looked for where nothing of them may be.
MARKER: Final = "Marker7F3A"
_TEXT: Final = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)


@dataclass(frozen=True, slots=True)
class Request:
    """The bytes of a request; the body is whole, whatever else is wrong."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunked: bool

    def __bytes__(self) -> bytes:
        length = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(len(self.body)))
        lines = [f"POST {self.path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in (*self.headers, length)), "", ""]
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.body), self.body) if self.chunked and self.body else self.body
        return "\r\n".join(lines).encode("latin-1") + (body or (b"0\r\n\r\n" if self.chunked else b""))


_VALUES: Final = NEARLY | PLAIN | st.binary(max_size=40)
_BODIES: Final = (
    _VALUES
    | SMUGGLED.map(b"\n".join)
    | st.lists(_VALUES, max_size=4).map(b"\n".join)
    | st.lists(_VALUES, max_size=4).map(lambda values: b"[" + b",".join(values) + b"]")
)


def _marked(body: bytes) -> bytes:
    return body.replace(b'"properties"', b'"note": "' + MARKER.encode() + b'", "properties"') + b" " * (not body)


def _packed(body: bytes, how: str, cut: float) -> bytes:
    packed = gzip.compress(body) if how == "gzip" else zstd_compress(body) if how == "zstd" else body
    return packed[: int(len(packed) * cut)]


_PACKED: Final = st.builds(_packed, _BODIES.map(_marked), st.sampled_from(["", "", "gzip", "zstd"]), st.just(1.0) | st.floats(0, 1))
_TYPES: Final = st.sampled_from(
    ["application/json", "application/x-ndjson", "text/plain", "application/json; charset=utf-8", 'text/plain; charset="', ";;;=", "*/*"]
)
_HEADERS: Final[dict[str, st.SearchStrategy[str]]] = {
    "Content-Type": _TYPES | _TEXT,
    "Content-Encoding": st.sampled_from(["gzip", "zstd", "identity", "br", "gzip, gzip"]) | _TEXT,
    "Authorization": st.just(f"Bearer {MARKER}") | _TEXT,
    "Origin": st.just(f"https://{MARKER}") | _TEXT,
    "Expect": st.just("100-continue") | _TEXT,
    "X-Other": _TEXT,
}
_PATHS: Final = st.sampled_from(
    ["?dry_run=1", "?dry_run=1", f"?dry_run=1&key={MARKER}", "?dry_run=%ff%00", "?dry_run=2", "?=&&&=&dry_run="]
)
REQUESTS: Final = st.builds(
    Request,
    _PATHS.map("/v1/events".__add__),
    st.lists(st.one_of([st.tuples(st.just(name), values) for name, values in _HEADERS.items()]), max_size=4).map(tuple),
    _PACKED,
    st.booleans(),
)


def ask(address: tuple[str, int], request: Request) -> tuple[int, bytes]:
    """Status and body of the answer, interim ones skipped; a body that is no JSON fails the test that asked."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(bytes(request))
        with connection.makefile("rb") as stream:
            while True:
                status = int(stream.readline().split()[1])
                headers = {}
                while line := stream.readline().strip():
                    name, _, value = line.partition(b":")
                    headers[name.lower()] = value.strip()
                if status >= 200:
                    break
            body = stream.read(int(headers.get(b"content-length", 0)))
    if headers.get(b"content-type", b"").startswith(b"application/json"):
        json.loads(body)
    return status, body
