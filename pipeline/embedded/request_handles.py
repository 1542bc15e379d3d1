"""The engine's handle for one request: settings, database, parameters and external tables on it, and what a session keeps of it.

Everything here blocks, and is called in a thread of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from types import MappingProxyType

from pipeline.embedded.engine import Engine, starting_settings
from pipeline.embedded.engine_calls import EngineRequest
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import Handle, quoted_name
from pipeline.embedded.engine_sessions import Session
from pipeline.embedded.http_requests import QueryRequest
from pipeline.embedded.statements import Statement

READER_SETTINGS = {"max_execution_time": "60", "max_memory_usage": str(2 << 30)}
_MAX_SET_STATEMENTS = 100
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class RequestHandles:
    """Makes the handle of `query` and, after its statement, leaves the session as that statement should."""

    engine: Engine
    query: QueryRequest
    session: Session
    token: str
    _applied: set[str] = field(default_factory=set)

    def prepare(self, request: EngineRequest, *, default: Mapping[str, str] = _NONE, forced: Mapping[str, str] = _NONE) -> Handle:
        """A handle on which the statement can run at once, with `default` settings under and `forced` ones over the request's own.

        Raises EngineError.
        """
        handle = self.session.handle or request.closes(self.engine.connect())
        for statement in self.session.set_statements:
            handle.query(statement)
        settings = {**default, **self._settings(), **forced}
        self._applied.update(settings)
        handle.configure(settings)
        handle.use(self.query.database or self.session.database)
        self._load_external(handle)
        return handle

    def keep(self, request: EngineRequest, handle: Handle, statement: Statement) -> None:
        """What a statement that has succeeded leaves in its session."""
        if self.query.session_id is None:
            return
        if statement.verb == "SET" and len(self.session.set_statements) < _MAX_SET_STATEMENTS:
            self.session.set_statements.append(statement.body)
        elif statement.verb == "USE":
            self.session.database = handle.query("SELECT currentDatabase()").data.decode().rstrip("\n")
        elif statement.makes_temporary and self.session.handle is None:
            self.session.handle = handle
            request.keeps(handle)

    def restore(self, request: EngineRequest) -> None:
        """Take this request's settings off the handle a session keeps, or give it up when something still runs on it."""
        handle = self.session.handle
        if handle is None or not self._applied:
            return
        if handle.is_busy or request.is_busy:
            self.session.handle = None
            request.closes(handle)
            return
        with suppress(EngineError):  # chDB may answer with what a failed statement left behind, once
            handle.query("SELECT 1")
        handle.query("SET " + ", ".join(f"{name} = DEFAULT" for name in self._applied))

    def _settings(self) -> dict[str, str]:
        settings = starting_settings() | (READER_SETTINGS if self.query.is_reader else {}) | self.query.settings
        settings["log_comment"] = f"{settings.get('log_comment', '')} {self.token}".strip()
        if self.query.is_reader:
            settings["readonly"] = "2"  # not 1, under which a client could not even send max_execution_time
        return settings

    def _load_external(self, handle: Handle) -> None:
        for table in self.query.external:
            create = f"CREATE TEMPORARY TABLE {quoted_name(table.name)} ({table.structure})"
            self.engine.judge(create)
            handle.query(create)
            insert = self.engine.judge(f"INSERT INTO {quoted_name(table.name)} FORMAT {table.format}")
            with TemporaryFile(dir=self.engine.path, buffering=0) as file:
                file.write(table.data)
                file.seek(0)
                handle.query(insert.from_file(f"/dev/fd/{file.fileno()}"))
