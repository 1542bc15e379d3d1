"""One connection to the open engine: statements, whole results, results block by block."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.embedded.engine_errors import EngineError

DATABASE = "telemetry"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole result and what it cost, as `X-ClickHouse-Summary` counts it."""

    data: bytes
    result_rows: int = 0
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


class Handle:
    """One connection to the engine; not to be used by two threads at once, and not after an error (except to close it)."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._stream: Generator[bytes] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a stream was begun and has not come to its end; closing then takes a moment."""
        return self._stream is not None

    def configure(self, settings: Mapping[str, str]) -> None:
        """Set `settings`, readonly last if it is one of them. Raises EngineError."""
        if settings:
            self.query("SET " + ", ".join(f"{name} = {quoted(value)}" for name, value in settings.items()))

    def use(self, database: str | None) -> None:
        """Make `database` the current one; None takes `telemetry` if there is one. Raises EngineError (81)."""
        try:
            self.query(f"USE {quoted_name(database or DATABASE)}")
        except EngineError:
            if database is not None:
                raise

    def query(self, sql: str, format_name: str = "TabSeparatedRaw", parameters: Mapping[str, str] | None = None) -> Answer:
        """Run one statement and keep its whole result. Rows written into materialized views are counted too, as a server does.

        Inserts come this way as well (`FROM INFILE`): chDB's `send_insert` reports success when a constraint, a materialized view,
        too many parts or a full disk made the engine drop the block. Raises EngineError.
        """
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
        self._stream = self._blocks(sql, format_name, parameters)
        return self._stream

    def _blocks(self, sql: str, format_name: str, parameters: Mapping[str, str]) -> Generator[bytes]:
        try:
            result = self._connection.send_query(sql, format_name, params=dict(parameters))
            try:
                for chunk in result:
                    yield chunk.bytes()
            finally:
                result.close()
        except Exception as error:
            raise EngineError.from_chdb(error) from error
        finally:
            self._stream = None

    def close(self) -> None:
        """Give up what has not come to its end. Waits for a call that is still running in another thread: kill it first."""
        if self._stream is not None:
            self._stream.close()
        self._connection.close()


def quoted(value: str) -> str:
    """`value` as a string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(name: str) -> str:
    """`name` as an identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
