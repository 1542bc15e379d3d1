"""Headers, bodies and error texts of the ClickHouse HTTP protocol."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from pipeline.embedded.body_encodings import Compressor, response_compressor
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Answer
from pipeline.embedded.http_requests import QueryRequest

DISPLAY_NAME = "nutricoach-embedded"
_BINARY = "application/octet-stream"
_CONTENT_TYPES = (  # by the beginning of a format's name in lower case, first match
    (("jsoneachrow", "jsoncompacteachrow", "jsonstringseachrow", "jsoncompactstringseachrow"), "application/x-ndjson; charset=UTF-8"),
    (("ndjson", "jsonl"), "application/x-ndjson; charset=UTF-8"),
    (("json", "geojson"), "application/json; charset=UTF-8"),
    (("csvwithnames",), "text/csv; charset=UTF-8; header=present"),
    (("csv",), "text/csv; charset=UTF-8; header=absent"),
    (("tabseparated", "tsv"), "text/tab-separated-values; charset=UTF-8"),
    (("native", "rowbinary", "arrow", "parquet", "orc", "avro", "msgpack", "npy", "bson"), _BINARY),
    (("xml",), "application/xml; charset=UTF-8"),
    (("markdown",), "text/markdown; charset=UTF-8"),
)


@dataclass(slots=True)
class Reply:
    """Answers one request. `streaming` is the response once its status has gone out; `client_gone` that nobody reads it any more."""

    query_id: str
    version: str
    started_s: float = field(default_factory=time.perf_counter)
    streaming: web.StreamResponse | None = None
    client_gone: bool = False
    compressor: Compressor | None = None
    content_encoding: str | None = None

    def serve(self, query: QueryRequest) -> None:
        """Answer `query`: with its id, compressed as it asks."""
        self.query_id = query.query_id
        self.compressor, self.content_encoding = response_compressor(
            query.accept_encoding, enabled=query.compress_http, native=query.compress_native
        )

    def empty(self) -> web.Response:
        """To a request without a statement."""
        return web.Response(text="Ok.\n", headers=self._headers())

    def done(self, answer: Answer) -> web.Response:
        """To a statement without a result."""
        return web.Response(body=b"", headers=self._headers() | {"X-ClickHouse-Summary": self._summary(answer)})

    def whole(self, parts: Iterable[bytes], format_name: str, answer: Answer) -> web.Response:
        """A result that is complete, so that its summary is known."""
        compressor = self._compressor()
        body = b"".join([*(compressor.compress(part) for part in parts if part), compressor.flush()])
        headers = self._result_headers(format_name) | {"X-ClickHouse-Summary": self._summary(answer)}
        return web.Response(body=body, headers=headers)

    async def stream(self, request: web.Request, blocks: AsyncIterator[bytes], format_name: str) -> web.StreamResponse:
        """A result block by block. An error on the way is written into the body as a server does, marked by the tag of the header."""
        tag = secrets.token_hex(8)
        headers = self._result_headers(format_name) | {
            "X-ClickHouse-Exception-Tag": tag,
            "X-ClickHouse-Summary": self._summary(Answer(b"")),
        }
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        self.streaming = response
        try:
            async for data in self._compressed(blocks, tag):
                await response.write(data)
            await response.write_eof()
        except ConnectionResetError:
            self.client_gone = True
        return response

    async def _compressed(self, blocks: AsyncIterator[bytes], tag: str) -> AsyncIterator[bytes]:
        compressor = self._compressor()
        try:
            async for block in blocks:
                if data := compressor.compress(block):
                    yield data
        except EngineError as error:
            yield compressor.compress(_exception_block(tag, self._text(error)))
        if data := compressor.flush():
            yield data

    def error(self, error: EngineError) -> web.Response:
        headers = self._headers() | {"X-ClickHouse-Exception-Code": str(error.number)}
        if error.http_status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
        return web.Response(status=error.http_status, text=self._text(error), headers=headers)

    def _compressor(self) -> Compressor:
        assert self.compressor is not None
        return self.compressor

    def _text(self, error: EngineError) -> str:
        text = str(error)
        return f"{text}\n" if "(version " in text else f"{text} (version {self.version} (official build))\n"

    def _headers(self) -> dict[str, str]:
        return {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Server-Display-Name": DISPLAY_NAME,
            "X-ClickHouse-Timezone": "UTC",
        }

    def _result_headers(self, format_name: str) -> dict[str, str]:
        headers = self._headers() | {"X-ClickHouse-Format": format_name, "Content-Type": content_type(format_name)}
        if self.content_encoding:
            headers["Content-Encoding"] = self.content_encoding
        return headers

    def _summary(self, answer: Answer) -> str:
        elapsed_ns = int((time.perf_counter() - self.started_s) * 1e9)
        counts = {
            "read_rows": answer.read_rows or answer.written_rows,
            "read_bytes": answer.read_bytes or answer.written_bytes,
            "written_rows": answer.written_rows,
            "written_bytes": answer.written_bytes,
            "total_rows_to_read": 0,
            "result_rows": answer.result_rows,
            "result_bytes": len(answer.data) or answer.written_bytes,
            "elapsed_ns": elapsed_ns,
        }
        return orjson.dumps({name: str(count) for name, count in counts.items()}).decode()


def content_type(format_name: str) -> str:
    """The Content-Type a server gives to a format."""
    name = format_name.lower()
    return next((kind for beginnings, kind in _CONTENT_TYPES if name.startswith(beginnings)), "text/plain; charset=UTF-8")


def _exception_block(tag: str, text: str) -> bytes:
    message = text.encode()
    head = b"\r\n__exception__\r\n" + tag.encode() + b"\r\n"
    return head + message + str(len(message)).encode() + b" " + tag.encode() + b"\r\n__exception__\r\n"
