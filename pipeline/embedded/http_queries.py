"""Runs the statement of one HTTP request on the engine and answers it as a ClickHouse server does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

import orjson
from aiohttp import web

from pipeline.embedded.engine import MAX_STATEMENT_BYTES
from pipeline.embedded.engine_calls import EngineCalls, EngineRequest
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Answer, Handle
from pipeline.embedded.engine_sessions import Session, Sessions
from pipeline.embedded.engine_vocabulary import check_settings
from pipeline.embedded.http_inserts import insert_rows, received
from pipeline.embedded.http_replies import DISPLAY_NAME, Reply
from pipeline.embedded.http_requests import QueryRequest
from pipeline.embedded.insert_statement import is_insert, split_insert
from pipeline.embedded.native_blocks import empty_block, hello_block
from pipeline.embedded.request_handles import RequestHandles
from pipeline.embedded.statements import Statement

_HELLO = "SELECT displayName(), version(), revision(), timezone()"
_HELLO_PROTOCOL_VERSION = 54454

# Formats of which the blocks of a result can be sent one after the other; in all others a block is a whole document.
_STREAMED = frozenset(
    {
        *("native", "rowbinary", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "jsoneachrow", "ndjson", "jsonlines"),
        *("jsonl", "jsoncompacteachrow", "jsonstringseachrow", "jsoncompactstringseachrow", "tskv"),
    }
)


@dataclass(slots=True)
class QueryRun:
    """One request on its way. `verb` and `written_rows` are for the metrics."""

    calls: EngineCalls
    sessions: Sessions
    request: web.Request
    query: QueryRequest
    reply: Reply
    verb: str = "OTHER"
    written_rows: int = 0

    async def answer(self) -> web.StreamResponse:
        """Raises EngineError as long as nothing has been sent."""
        query = self.query
        check_settings(query.settings)
        if query.session_id is None:
            return await self._answer_in(Session())
        session = self.sessions.acquire(reader=query.is_reader, session_id=query.session_id, must_exist=query.session_must_exist)
        try:
            return await self._answer_in(session)
        finally:
            self.sessions.release(session, query.session_timeout_s)

    async def _answer_in(self, session: Session) -> web.StreamResponse:
        text = self.query.text + b"\n" if self.query.text else b""
        head = split_insert(text) if is_insert(text) else None
        if head is None:
            text += await anext(self.query.body, b"")
            head = split_insert(text) if is_insert(text) else None
        handles = RequestHandles(self.calls.engine, self.query, session, f"request:{secrets.token_hex(8)}")
        if head is None:
            return await self._statement(handles, await self._rest_of(text))
        self.verb = "INSERT"
        statement = await self._judged(f"{head.statement}\nFORMAT {head.format}")
        rows = await received(self.calls, handles, text[head.data_start :])
        async with self._engine(handles, rows) as engine:
            answer = await engine.run(insert_rows, engine, handles, statement, rows)
        self.written_rows = answer.written_rows
        return self.reply.done(answer)

    async def _rest_of(self, text: bytes) -> str:
        async for piece in self.query.body:
            text += piece
            if len(text) > MAX_STATEMENT_BYTES:
                raise EngineError.of(307, "QUERY_IS_TOO_LARGE", f"a statement may have {MAX_STATEMENT_BYTES} bytes")
        try:
            return text.decode().strip()
        except UnicodeDecodeError:
            raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: the statement is not UTF-8") from None

    async def _statement(self, handles: RequestHandles, sql: str) -> web.StreamResponse:
        if not sql:
            return self.reply.empty()
        statement = await self._judged(sql)
        self.verb = statement.verb
        format_name = statement.format or self.query.default_format
        self.calls.engine.vocabulary.check_format(format_name)
        if statement.body == _HELLO and self.query.protocol_version >= _HELLO_PROTOCOL_VERSION and format_name == "Native":
            return self.reply.whole([hello_block(DISPLAY_NAME, self.calls.engine.version)], "Native", Answer(b""))
        async with self._engine(handles) as engine:
            if self._streams(statement, format_name):
                first, blocks = await engine.run(self._first_block, engine, handles, sql, statement, format_name)
                return await self.reply.stream(self.request, _each(engine, first, blocks), format_name)
            answer = await engine.run(self._whole, engine, handles, sql, statement, format_name)
        self.written_rows = answer.written_rows
        if statement.reads or answer.data:
            return self.reply.whole([answer.data], format_name, answer)
        return self.reply.done(answer)

    async def _judged(self, sql: str) -> Statement:
        engine = self.calls.engine
        remembered = engine.judged(sql)
        statement = remembered if remembered is not None else await self.calls.control(engine.judge, sql)
        if not statement.reads:
            if self.query.read_only:
                raise EngineError.of(164, "READONLY", f"{statement.verb}: Cannot execute query in readonly mode")
            if statement.verb not in {"DROP", "TRUNCATE", "KILL"}:
                engine.check_space()
        return statement

    @asynccontextmanager
    async def _engine(self, handles: RequestHandles, *files: BinaryIO) -> AsyncIterator[EngineRequest]:
        slots = self.calls.readers if self.query.is_reader else self.calls.writers
        async with self.calls.request(slots, handles.token, files) as engine:
            try:
                yield engine
            finally:
                if handles.session.handle is not None:
                    await self.calls.control(handles.restore, engine)

    def _streams(self, statement: Statement, format_name: str) -> bool:
        if not statement.selects or statement.has_totals or self.query.settings.get("extremes", "0") != "0":
            return False
        return format_name.lower() in _STREAMED and not self.query.wait_end_of_query

    # The rest runs in a thread, up to the first block or the whole result.

    def _whole(self, engine: EngineRequest, handles: RequestHandles, sql: str, statement: Statement, format_name: str) -> Answer:
        handle = handles.prepare(engine)
        answer = handle.query(sql, format_name, self.query.parameters)
        handles.keep(engine, handle, statement)
        if statement.reads and not answer.data and format_name == "Native":
            return Answer(self._no_rows(handle, statement), read_rows=answer.read_rows, read_bytes=answer.read_bytes)
        return answer

    def _first_block(
        self, engine: EngineRequest, handles: RequestHandles, sql: str, statement: Statement, format_name: str
    ) -> tuple[bytes | None, Iterator[bytes]]:
        handle = handles.prepare(engine)
        blocks = handle.stream(sql, format_name, self.query.parameters)
        first = next(blocks, None)
        if first is None and format_name == "Native":
            first = self._no_rows(handle, statement)
        return first, blocks

    def _no_rows(self, handle: Handle, statement: Statement) -> bytes:
        """For no rows the engine writes nothing at all, and a client would not learn the columns."""
        parameters = self.query.parameters
        if statement.selects:
            described = handle.query(f"DESCRIBE TABLE ({statement.body})", "JSONCompactEachRow", parameters).data
            return empty_block((column[0], column[1]) for column in map(orjson.loads, described.splitlines()))
        lines = handle.query(statement.body, "JSONCompactEachRowWithNamesAndTypes", parameters).data.splitlines()
        return empty_block(zip(*map(orjson.loads, lines[:2]), strict=True)) if lines else b""


async def _each(engine: EngineRequest, first: bytes | None, blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    block = first
    while block is not None:
        yield block
        block = await engine.run(next, blocks, None)
