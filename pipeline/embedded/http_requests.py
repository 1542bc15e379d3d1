"""What an HTTP request asks of the engine: who, which statement, with which settings, parameters and encodings."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web

from pipeline.embedded.body_encodings import decompressors, plain_pieces
from pipeline.embedded.engine_errors import EngineError

# Query-string names that are the protocol's own; every other is a setting, a parameter (`param_…`) or about an external table.
_PROTOCOL = frozenset(
    {
        *(
            "add_http_cors_header",
            "buffer_size",
            "cancel_http_readonly_queries_on_client_close",
            "client_protocol_version",
            "close_session",
        ),
        *("compress", "database", "decompress", "default_format", "enable_http_compression", "http_headers_progress_interval_ms"),
        *("http_native_compression_disable_checksumming_on_decompress", "http_write_exception_in_output_format"),
        *("http_zlib_compression_level", "password", "query", "query_id", "quota_key", "readonly", "role"),
        *("send_progress_in_http_headers", "session_check", "session_id", "session_timeout", "stacktrace", "user", "wait_end_of_query"),
    }
)
_TRUE = frozenset({"1", "true"})


@dataclass(frozen=True, slots=True)
class Writer:
    """The one who may change anything. Everybody who gives no credentials, or `default` without a password, is the reader."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table sent along with a query; it is a temporary one while the query runs. `structure` is `name Type, …`."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """One request. `text` is the statement of the query string; the body follows it. `read_only`: the statement must read.

    `database` is None when none was named, or `default`, which this engine does not have.
    """

    text: bytes
    body: AsyncIterator[bytes]
    read_only: bool
    is_reader: bool
    query_id: str
    database: str | None
    default_format: str
    settings: dict[str, str]
    parameters: dict[str, str]
    external: list[ExternalTable]
    session_id: str | None
    session_timeout_s: float
    session_must_exist: bool
    wait_end_of_query: bool
    protocol_version: int
    accept_encoding: str
    compress_http: bool
    compress_native: bool


async def read_request(request: web.Request, writer: Writer | None, new_id: str) -> QueryRequest:
    """Read everything but the body. Raises EngineError (516, 89, 36)."""
    arguments = dict(request.query)
    is_reader = _is_reader(request, arguments, writer)
    external: list[ExternalTable] = []
    if request.content_type == "multipart/form-data":
        external = await _multipart(request, arguments)
        body = plain_pieces(_chunks(request), [])  # read already
    else:
        chain = decompressors(request.headers.get("Content-Encoding", ""), native=arguments.get("decompress") in _TRUE)
        body = plain_pieces(_chunks(request), chain)
    settings, parameters = _sorted_out(arguments, external)
    read_only = is_reader or request.method == "GET" or arguments.get("readonly", "0") != "0"
    return QueryRequest(
        text=arguments.get("query", "").encode(),
        body=body,
        read_only=read_only,
        is_reader=is_reader,
        query_id=arguments.get("query_id") or new_id,
        database=_database(request.headers.get("X-ClickHouse-Database") or arguments.get("database")),
        default_format=request.headers.get("X-ClickHouse-Format") or arguments.get("default_format") or "TabSeparated",
        settings=settings,
        parameters=parameters,
        external=external,
        session_id=arguments.get("session_id"),
        session_timeout_s=min(_number(arguments, "session_timeout", 60), 3600),
        session_must_exist=arguments.get("session_check") in _TRUE,
        wait_end_of_query=arguments.get("wait_end_of_query") in _TRUE or "buffer_size" in arguments,
        protocol_version=int(_number(arguments, "client_protocol_version", 0)),
        accept_encoding=request.headers.get("Accept-Encoding", ""),
        compress_http=arguments.get("enable_http_compression", "1") in _TRUE,
        compress_native=arguments.get("compress") in _TRUE,
    )


def _is_reader(request: web.Request, arguments: Mapping[str, str], writer: Writer | None) -> bool:
    user, password = _credentials(request, arguments)
    if user in {"", "default"} and not password:
        return True
    if writer and hmac.compare_digest(user.encode(), writer.user.encode()) & hmac.compare_digest(
        password.encode(), writer.password.encode()
    ):
        return False
    text = f"{user}: Authentication failed: password is incorrect, or there is no user with such name"
    raise EngineError.of(516, "AUTHENTICATION_FAILED", text)


def _credentials(request: web.Request, arguments: Mapping[str, str]) -> tuple[str, str]:
    headers = request.headers
    if "X-ClickHouse-User" in headers:
        return headers["X-ClickHouse-User"], headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise EngineError.of(516, "AUTHENTICATION_FAILED", "the Authorization header cannot be read") from None
        return user, password
    return arguments.get("user", "default"), arguments.get("password", "")


def _sorted_out(arguments: Mapping[str, str], external: list[ExternalTable]) -> tuple[dict[str, str], dict[str, str]]:
    about_tables = tuple(f"{table.name}_{what}" for table in external for what in ("structure", "types", "format"))
    parameters = {name.removeprefix("param_"): value for name, value in arguments.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in arguments.items()
        if name not in _PROTOCOL and name not in about_tables and not name.startswith("param_")
    }
    return settings, parameters


def _database(name: str | None) -> str | None:
    return None if name in {None, "", "default"} else name


def _number(arguments: Mapping[str, str], name: str, otherwise: float) -> float:
    try:
        return float(arguments.get(name, otherwise))
    except ValueError:
        raise EngineError.of(36, "BAD_ARGUMENTS", f"{name} is not a number") from None


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    async for chunk in request.content.iter_any():
        yield chunk


async def _multipart(request: web.Request, arguments: dict[str, str]) -> list[ExternalTable]:
    files: dict[str, bytes] = {}
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise EngineError.of(36, "BAD_ARGUMENTS", "a part of the form has no name")
        if part.filename:
            files[part.name] = bytes(await part.read(decode=True))
        else:
            arguments[part.name] = (await part.read(decode=True)).decode()
    return [_external(name, data, arguments) for name, data in files.items()]


def _external(name: str, data: bytes, arguments: Mapping[str, str]) -> ExternalTable:
    structure = arguments.get(f"{name}_structure")
    if structure is None:
        types = arguments.get(f"{name}_types")
        if types is None:
            raise EngineError.of(36, "BAD_ARGUMENTS", f"the external table {name} needs {name}_structure or {name}_types")
        structure = ", ".join(f"_{number} {type_name}" for number, type_name in enumerate(types.split(","), start=1))
    return ExternalTable(name, structure, arguments.get(f"{name}_format", "TabSeparated"), data)
