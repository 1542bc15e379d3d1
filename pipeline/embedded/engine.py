"""The chDB engine: one process, one data directory, a fresh handle for every request.

A fresh handle costs 0.1 ms, isolates SET, USE and temporary tables, and is the cure for chDB answering a statement with what the
failed one before it left behind. Nothing here is asynchronous; every call may take as long as its statement does.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.embedded.engine_errors import EngineError
from pipeline.embedded.statements import Statement, Vocabulary, judge
from pipeline.runtime.errors import Stop

DATABASE = "telemetry"
MAX_STATEMENT_BYTES = 16 << 20
_CONFIGURATION = "<clickhouse></clickhouse>\n"
_STARTING_SETTINGS = {"implicit_select": "0", "allow_introspection_functions": "0"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole result and what it cost, as `X-ClickHouse-Summary` counts it."""

    data: bytes
    result_rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


class Inserter:
    """Rows on their way into a table, in the bytes of one input format; `finish` or `cancel` ends it."""

    def __init__(self, inserter: Any) -> None:
        self._inserter = inserter

    def append(self, data: bytes) -> None:
        """Raises EngineError; nothing of the block that failed is kept."""
        try:
            self._inserter.append(data)
        except Exception as error:
            raise EngineError.from_chdb(error) from error

    def finish(self) -> Answer:
        """Commit. Rows written into materialized views are counted too, as a server does. Raises EngineError."""
        try:
            result = self._inserter.finish()
        except Exception as error:
            raise EngineError.from_chdb(error) from error
        return Answer(b"", result_rows=result.rows_written, written_rows=result.rows_written, written_bytes=result.bytes_written)

    def cancel(self) -> None:
        """Give up what is not written yet; nothing happens after `finish`."""
        with suppress(RuntimeError):  # it has failed already
            self._inserter.cancel()


class Handle:
    """One connection to the engine; not to be used by two threads at once, and not after an error (except to close it)."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._inserter: Inserter | None = None

    def configure(self, settings: Mapping[str, str], database: str | None) -> None:
        """Set `settings` (the last wins, so put readonly last) and the database. Raises EngineError."""
        if settings:
            self.query("SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items()))
        if database:
            self.query(f"USE {quoted_name(database)}")

    def query(self, sql: str, format_name: str = "TabSeparatedRaw", parameters: Mapping[str, str] | None = None) -> Answer:
        """Run one statement and keep its whole result. Raises EngineError."""
        try:
            result = self._connection.query(sql, format_name, params=dict(parameters or {}))
            return Answer(
                data=result.bytes() or b"",
                result_rows=result.rows_read(),
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
            )
        except Exception as error:
            raise EngineError.from_chdb(error) from error

    def stream(self, sql: str, format_name: str, parameters: Mapping[str, str]) -> Iterator[bytes]:
        """Blocks of a SELECT's result as they are made. Raises EngineError at any step."""
        try:
            result = self._connection.send_query(sql, format_name, params=dict(parameters))
            try:
                for chunk in result:
                    yield chunk.bytes()
            finally:
                result.close()
        except GeneratorExit:
            raise
        except Exception as error:
            raise EngineError.from_chdb(error) from error

    def insert(self, statement: str, format_name: str) -> Inserter:
        """Begin an insert; `statement` ends before FORMAT or VALUES. Raises EngineError."""
        try:
            self._inserter = Inserter(self._connection.send_insert(statement, format_name))
        except Exception as error:
            raise EngineError.from_chdb(error) from error
        return self._inserter

    def close(self) -> None:
        """Waits for a statement that is still running; an insert that is not finished is given up."""
        if self._inserter is not None:
            self._inserter.cancel()
        self._connection.close()


class Engine:
    """The open engine. `version` is ClickHouse's; `vocabulary` is what its statements are judged by."""

    def __init__(self, path: Path) -> None:
        """Open `path` (made when absent). Raises Stop with one line when another process has it, or it cannot be written."""
        self._address, self._base = _connect(path)
        self._own_databases()
        base = Handle(self._base)
        self.version = base.query("SELECT version()").data.decode().strip()
        self.vocabulary = Vocabulary.of_engine(
            table_functions=_names(base, "SELECT name FROM system.table_functions"),
            outward_functions=_names(base, "SELECT name FROM system.functions WHERE categories IN ('AI', 'Introspection')"),
            formats=_names(base, "SELECT name FROM system.formats"),
        )
        self.judge = lru_cache(maxsize=4096)(self._judge)

    def connect(self) -> Handle:
        """A fresh handle; close it when its request is done."""
        import chdb  # noqa: PLC0415  loaded only in the process that is the engine

        return Handle(chdb.connect(self._address))

    def canonical(self, sql: str) -> str:
        """The engine's own spelling of one statement. Raises EngineError (62) when `sql` is not exactly one."""
        escaped = sql.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").replace("\0", "\\0")
        handle = self.connect()
        try:
            handle.configure({**_STARTING_SETTINGS, "max_query_size": str(MAX_STATEMENT_BYTES)}, None)
            answer = handle.query("SELECT formatQuerySingleLine({statement:String})", parameters={"statement": escaped})
        except EngineError as error:
            raise EngineError(error.number, _SCOPE.sub("", str(error))) from error
        finally:
            handle.close()
        return answer.data.decode("utf-8", "surrogateescape").rstrip("\n")

    def _judge(self, sql: str) -> Statement:
        return judge(self.canonical(sql), self.vocabulary)

    def kill(self, token: str) -> None:
        """Stop every statement whose `log_comment` ends with `token`; it then fails with 394 where it runs."""
        self._kill(f"endsWith(Settings['log_comment'], {quoted(token)})")

    def kill_all(self) -> None:
        self._kill("query NOT LIKE 'KILL QUERY%'")

    def _kill(self, condition: str) -> None:
        handle = self.connect()
        try:
            handle.query(f"KILL QUERY WHERE {condition} ASYNC")
        finally:
            handle.close()

    def close(self) -> None:
        """Waits for statements that are still running: kill them first."""
        self._base.close()

    def _own_databases(self) -> None:
        """Put an empty database in the place of chDB's `default`, in which a table's name may be the path of any file."""
        base = Handle(self._base)
        base.query("DETACH DATABASE default")
        base.query("CREATE DATABASE default ENGINE = Memory")
        base.query(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")


_SCOPE = re.compile(r": (?:In scope|While processing) SELECT formatQuerySingleLine\(.*(?=\. \([A-Z_]+\))", re.S)


def starting_settings() -> dict[str, str]:
    """What every handle is set to so that it behaves like a server's."""
    return dict(_STARTING_SETTINGS)


def quoted(value: str) -> str:
    """`value` as a string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(name: str) -> str:
    """`name` as an identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _names(handle: Handle, sql: str) -> list[str]:
    return handle.query(sql).data.decode().split()


def _connect(path: Path) -> tuple[str, Any]:
    # chDB drops the zone of DateTime('UTC') in Native output; only a process in UTC gives the right instants. After the import is too late.
    os.environ["TZ"] = "UTC"
    time.tzset()
    try:
        path.mkdir(parents=True, exist_ok=True)
        configuration = path / "engine.xml"
        configuration.write_text(_CONFIGURATION)
        _refuse_second_process(path)
        for name in ("default.sql", "default.sql.tmp"):  # the empty database of the last start, which is made anew
            (path / "metadata" / name).unlink(missing_ok=True)
        import chdb  # noqa: PLC0415  forks and slow starts come from importing it where it is not used
    except ImportError:
        raise Stop(
            "the embedded ClickHouse needs the `embedded` extra (chdb-core; not for Windows or musl): install it, or use a server"
        ) from None
    except OSError as error:
        raise Stop(f"cannot write to {path}: {error.strerror}; free some space or choose another --path") from None
    # An explicit configuration, because chDB would otherwise load a config.xml from the current directory.
    address = f"{path.resolve()}?config-file={configuration.resolve()}"
    try:
        return address, chdb.connect(address)
    except Exception as error:
        raise Stop(_cannot_open(path, str(error))) from None


def _refuse_second_process(path: Path) -> None:
    """The engine's own lock is found before its library, half a gigabyte, is loaded."""
    status = path / "status"
    if not status.exists():
        return
    with status.open("rb+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(_cannot_open(path, "Cannot lock file")) from None


def _cannot_open(path: Path, text: str) -> str:
    if "Cannot lock file" in text or "already running" in text:
        return f"{path} is in use by another engine{_holder(path)}: stop that one, or choose another --path"
    if "No space left" in text or "NOT_ENOUGH_SPACE" in text:
        return f"no space left for {path}: free some, or choose another --path"
    return f"cannot open the engine at {path}: {text.splitlines()[0] if text else 'unknown error'}"


def _holder(path: Path) -> str:
    try:
        found = re.search(r"PID: (\d+)", (path / "status").read_text())
    except OSError:
        return ""
    return f" (process {found.group(1)})" if found else ""
