"""Runs the statement of one HTTP request on the engine and answers it as a ClickHouse server does."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import orjson
from aiohttp import web

from pipeline.embedded.engine import MAX_STATEMENT_BYTES, Answer, Handle, Inserter, starting_settings
from pipeline.embedded.engine_calls import EngineCalls, EngineRequest
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_sessions import Session, Sessions
from pipeline.embedded.http_replies import Reply
from pipeline.embedded.http_requests import QueryRequest
from pipeline.embedded.insert_statement import InsertHead, is_insert, split_insert
from pipeline.embedded.native_blocks import empty_block, hello_block
from pipeline.embedded.statements import Statement, check_format, check_settings, check_values

DISPLAY_NAME = "nutricoach-embedded"
READER_SETTINGS = {"max_execution_time": "60", "max_memory_usage": str(2 << 30)}
_HELLO = "SELECT displayName(), version(), revision(), timezone()"
_HELLO_PROTOCOL_VERSION = 54454
_VALUES_JUDGED_BYTES = 1 << 20

# Formats of which the blocks of a result can be sent one after the other; in all others a block is a whole document.
_STREAMED = frozenset(
    {
        *("native", "rowbinary", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "raw", "csv", "jsoneachrow", "ndjson", "jsonlines"),
        *("jsonl", "jsoncompacteachrow", "jsonstringseachrow", "jsoncompactstringseachrow", "tskv"),
    }
)


@dataclass(slots=True)
class QueryRun:
    """One request on its way. `written_rows` and `verb` are for the metrics."""

    calls: EngineCalls
    sessions: Sessions
    request: web.Request
    query: QueryRequest
    reply: Reply
    token: str
    verb: str = "OTHER"
    written_rows: int = 0

    async def answer(self) -> web.StreamResponse:
        """Raises EngineError as long as nothing has been sent."""
        check_settings(self.query.settings)
        query = self.query
        session = query.session_id and self.sessions.acquire(
            reader=query.is_reader, session_id=query.session_id, must_exist=query.session_must_exist
        )
        if not session:
            return await self._answer_in(Session())
        try:
            return await self._answer_in(session)
        finally:
            self.sessions.release(session, query.session_timeout_s)

    async def _answer_in(self, session: Session) -> web.StreamResponse:
        text = self.query.text + b"\n" if self.query.text else b""
        body = self.query.body
        head = split_insert(text) if is_insert(text) else None
        if head is None:
            text += await anext(body, b"")
            head = split_insert(text) if is_insert(text) else None
        if head is not None:
            return await self._insert(session, head, text[head.data_start :])
        async for piece in body:
            text += piece
            if len(text) > MAX_STATEMENT_BYTES:
                raise EngineError.of(307, "QUERY_IS_TOO_LARGE", f"a statement may have {MAX_STATEMENT_BYTES} bytes")
        return await self._statement(session, text)

    async def _statement(self, session: Session, text: bytes) -> web.StreamResponse:
        sql = _decoded(text).strip()
        if not sql:
            return self.reply.empty()
        statement = await self._judged(sql)
        self.verb = statement.verb
        format_name = statement.format or self.query.default_format
        check_format(format_name, self.calls.engine.vocabulary)
        if statement.body == _HELLO and self.query.protocol_version >= _HELLO_PROTOCOL_VERSION and format_name == "Native":
            return await self.reply.whole(self.request, [hello_block(DISPLAY_NAME, self.calls.engine.version)], "Native", Answer(b""))
        async with self._slot(), self.calls.request(self.token) as engine:
            if self._streams(statement, format_name):
                return await self._stream(engine, session, sql, statement, format_name)
            answer = await engine.run(self._whole, engine, session, sql, statement, format_name)
            self.written_rows = answer.written_rows
            if not statement.reads:
                return self.reply.done(answer)
            return await self.reply.whole(self.request, [answer.data], format_name, answer)

    async def _judged(self, sql: str) -> Statement:
        statement = await self.calls.control(self.calls.engine.judge, sql)
        if self.query.read_only and not statement.reads:
            raise EngineError.of(164, "READONLY", f"{statement.verb}: Cannot execute query in readonly mode")
        return statement

    def _slot(self) -> AbstractAsyncContextManager[None]:
        return (self.calls.readers if self.query.is_reader else self.calls.writers).one()

    def _streams(self, statement: Statement, format_name: str) -> bool:
        if not statement.selects or statement.has_totals or self.query.settings.get("extremes", "0") != "0":
            return False
        return format_name.lower() in _STREAMED and not self.query.wait_end_of_query

    # What follows runs in a thread, up to the first block or the whole result.

    def _prepared(self, engine: EngineRequest, session: Session) -> Handle:
        handle = session.handle or engine.closes(self.calls.engine.connect())
        for set_statement in session.set_statements:
            handle.query(set_statement)
        handle.configure(self._settings(), self.query.database or session.database)
        for table in self.query.external:
            handle.query(f"CREATE TEMPORARY TABLE `{table.name}` ({table.structure})")
            inserter = handle.insert(f"INSERT INTO `{table.name}`", table.format)
            inserter.append(table.data)
            inserter.finish()
        return handle

    def _settings(self) -> dict[str, str]:
        settings = starting_settings() | (READER_SETTINGS if self.query.is_reader else {}) | self.query.settings
        settings["log_comment"] = f"{settings.get('log_comment', '')} {self.token}".strip()
        if self.query.is_reader:
            settings["readonly"] = "2"  # not 1, under which a client could not even send max_execution_time
        return settings

    def _whole(self, engine: EngineRequest, session: Session, sql: str, statement: Statement, format_name: str) -> Answer:
        handle = self._prepared(engine, session)
        answer = handle.query(sql, format_name, self.query.parameters)
        if statement.reads and not answer.data and format_name == "Native":
            return Answer(self._empty_native(handle, statement), read_rows=answer.read_rows, read_bytes=answer.read_bytes)
        return answer

    def _first_block(
        self, engine: EngineRequest, session: Session, sql: str, statement: Statement, format_name: str
    ) -> tuple[bytes | None, Iterator[bytes]]:
        handle = self._prepared(engine, session)
        blocks = handle.stream(sql, format_name, self.query.parameters)
        first = next(blocks, None)
        if first is None and format_name == "Native":
            first = self._empty_native(handle, statement)
        return first, blocks

    def _empty_native(self, handle: Handle, statement: Statement) -> bytes:
        """The engine writes nothing at all for no rows, and the client would lose the names of its columns."""
        if statement.selects:
            rows = handle.query(f"DESCRIBE TABLE ({statement.body})", "JSONCompactEachRow", self.query.parameters)
            return empty_block((row[0], row[1]) for row in map(orjson.loads, rows.data.splitlines()))
        names, types = handle.query(statement.body, "JSONCompactEachRowWithNamesAndTypes").data.splitlines()[:2]
        return empty_block(zip(orjson.loads(names), orjson.loads(types), strict=True))

    async def _stream(
        self, engine: EngineRequest, session: Session, sql: str, statement: Statement, format_name: str
    ) -> web.StreamResponse:
        first, blocks = await engine.run(self._first_block, engine, session, sql, statement, format_name)

        async def all_blocks() -> AsyncIterator[bytes]:
            block = first
            while block is not None:
                yield block
                block = await engine.run(next, blocks, None)

        return await self.reply.stream(self.request, all_blocks(), format_name)

    async def _insert(self, session: Session, head: InsertHead, rest: bytes) -> web.StreamResponse:
        self.verb = "INSERT"
        statement = await self._judged(f"{head.statement} FORMAT {head.format}")
        check_format(head.format, self.calls.engine.vocabulary)
        if statement.verb != "INSERT":
            raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: INSERT expected")
        settings: dict[str, str] = {}
        if head.format.lower() == "values":
            rest, settings = await self._judged_values(rest)
        async with self._slot(), self.calls.request(self.token) as engine:
            inserter = await engine.run(self._begin_insert, engine, session, head, settings, rest)
            async for piece in self.query.body:
                await engine.run(inserter.append, piece)
            answer = await engine.run(inserter.finish)
        self.written_rows = answer.written_rows
        return self.reply.done(answer)

    def _begin_insert(self, engine: EngineRequest, session: Session, head: InsertHead, settings: dict[str, str], first: bytes) -> Inserter:
        handle = self._prepared(engine, session)
        handle.configure(settings | {f"param_{name}": value for name, value in self.query.parameters.items()}, None)
        inserter = handle.insert(head.statement, head.format)
        if first:
            inserter.append(first)
        return inserter

    async def _judged_values(self, rest: bytes) -> tuple[bytes, dict[str, str]]:
        """VALUES may hold expressions, even subqueries: they are judged too, or not evaluated at all."""
        async for piece in self.query.body:
            rest += piece
            if len(rest) > _VALUES_JUDGED_BYTES:
                return rest, {"input_format_values_interpret_expressions": "0"}
        engine = self.calls.engine
        try:
            canonical = await self.calls.control(engine.canonical, "SELECT " + _decoded(rest).strip().rstrip(";"))
        except EngineError:
            return rest, {"input_format_values_interpret_expressions": "0"}
        check_values(canonical, engine.vocabulary)
        return rest, {}


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise EngineError.of(62, "SYNTAX_ERROR", "Syntax error: the statement is not UTF-8") from None


def new_token() -> str:
    """What marks the statements of one request, so that they can be killed."""
    return f"request:{secrets.token_hex(8)}"
