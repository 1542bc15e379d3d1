"""The chDB engine: one process, one data directory, a fresh handle for every request.

A fresh handle costs 0.1 ms, isolates SET, USE and temporary tables, and is the cure for chDB answering a statement with what the
failed one before it left behind. Nothing here is asynchronous; every call may take as long as its statement does.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

from pipeline.embedded.engine_directory import MIN_FREE_BYTES, open_directory
from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.engine_handles import DATABASE, Handle, quoted
from pipeline.embedded.engine_vocabulary import Vocabulary
from pipeline.embedded.statements import Statement, judge
from pipeline.runtime.errors import Stop

MAX_STATEMENT_BYTES = 16 << 20
_REMEMBERED = 2_000
_REMEMBERED_BYTES = 8 << 10
_STARTING_SETTINGS = {"implicit_select": "0", "allow_introspection_functions": "0"}


class Engine:
    """The open engine. `version` is ClickHouse's; `vocabulary` is what its statements are judged by."""

    def __init__(self, path: Path) -> None:
        """Open `path` (made when absent). Raises Stop with one line when another process has it, or it cannot be written."""
        self.path = path.absolute()
        self._address, self._base = open_directory(self.path)
        base = Handle(self._base)
        try:
            self._make_databases(base)
        except EngineError as error:
            raise Stop(f"cannot use the engine at {self.path}: {str(error).splitlines()[0]}") from error
        self.version = base.query("SELECT version()").data.decode().strip()
        self.vocabulary = Vocabulary.of_engine(
            table_functions=_names(base, "SELECT name FROM system.table_functions"),
            outward_functions=_names(base, "SELECT name FROM system.functions WHERE categories IN ('AI', 'Introspection')"),
            formats=_names(base, "SELECT name FROM system.formats"),
        )
        self._judged: dict[str, Statement] = {}
        self._judged_lock = Lock()

    def connect(self) -> Handle:
        """A fresh handle; close it when its request is done."""
        import chdb  # noqa: PLC0415  loaded only in the process that is the engine

        return Handle(chdb.connect(self._address))

    def canonical(self, sql: str) -> str:
        """The engine's own spelling of one statement. Raises EngineError (62) when `sql` is not exactly one."""
        escaped = sql.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").replace("\0", "\\0")
        handle = self.connect()
        try:
            handle.configure({**_STARTING_SETTINGS, "max_query_size": str(MAX_STATEMENT_BYTES)})
            answer = handle.query("SELECT formatQuerySingleLine({statement:String})", parameters={"statement": escaped})
        except EngineError as error:
            raise EngineError(error.number, _SCOPE.sub("", str(error))) from error
        finally:
            handle.close()
        return answer.data.decode("utf-8", "surrogateescape").rstrip("\n")

    def judged(self, sql: str) -> Statement | None:
        """What `judge` has said of the same text before, if it is remembered."""
        return self._judged.get(sql)

    def judge(self, sql: str) -> Statement:
        """What `sql` may do. Raises EngineError when it is not one statement, or one that is refused."""
        statement = judge(self.canonical(sql), self.vocabulary)
        if len(sql) <= _REMEMBERED_BYTES:
            with self._judged_lock:
                if len(self._judged) >= _REMEMBERED:
                    self._judged.clear()
                self._judged[sql] = statement
        return statement

    def kill(self, tokens: Iterable[str]) -> None:
        """Stop the statements whose `log_comment` ends with a blank and one of `tokens`; they fail with 394 where they run."""
        self._kill(f"splitByChar(' ', Settings['log_comment'])[-1] IN ({', '.join(map(quoted, tokens))})")

    def kill_all(self) -> None:
        self._kill("query NOT LIKE 'KILL QUERY%'")

    def _kill(self, condition: str) -> None:
        handle = self.connect()
        try:
            handle.query(f"KILL QUERY WHERE {condition} ASYNC")
        finally:
            handle.close()

    def check_space(self) -> None:
        """Raises EngineError (243) when the disk is nearly full: chDB leaves half-written metadata behind, with which it cannot start."""
        if shutil.disk_usage(self.path).free < MIN_FREE_BYTES:
            text = f"Less than {MIN_FREE_BYTES >> 20} MiB are free for {self.path}: free some space"
            raise EngineError.of(243, "NOT_ENOUGH_SPACE", text)

    def close(self) -> None:
        """Waits for statements that are still running: kill them first."""
        self._base.close()

    def _make_databases(self, base: Handle) -> None:
        """Put an empty database in the place of chDB's `default`, in which a table's name may be the path of any file."""
        base.query("DETACH DATABASE default")
        base.query("CREATE DATABASE default ENGINE = Memory")
        base.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")


_SCOPE = re.compile(r": (?:In scope|While processing) SELECT formatQuerySingleLine\(.*(?=\. \([A-Z_]+\))", re.S)


def starting_settings() -> dict[str, str]:
    """What every handle is set to so that it behaves like a server's."""
    return dict(_STARTING_SETTINGS)


def _names(handle: Handle, sql: str) -> list[str]:
    return handle.query(sql).data.decode().split()
