"""What to do about an error of ClickHouse: wait and try again, or stop."""

from __future__ import annotations

import re
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from pipeline.runtime.errors import ConfigurationError, RetryAfter, Stop

#: ClickHouse's codes of what passes by itself or by somebody's doing outside: time, load, memory, disk, network, shutdown.
_PASSING: Final = frozenset(
    {
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        373,  # SESSION_IS_LOCKED
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        473,  # DEADLOCK_AVOIDED
        499,  # S3_ERROR
        733,  # TABLE_IS_BEING_RESTARTED
        999,  # KEEPER_EXCEPTION
        1000,  # POCO_EXCEPTION
        1001,  # STD_EXCEPTION
        1002,  # UNKNOWN_EXCEPTION
    }
)
_NOT_ENOUGH_SPACE: Final = 243
#: What ClickHouse says when the system refused it a write: the number depends on where that was.
_NO_SPACE: Final = re.compile(r"No space left on device|Disk quota exceeded|errno: (?:28|122)\b")
_WRONG_PASSWORD: Final = frozenset({192, 193, 194, 516})
_NOT_ALLOWED: Final = frozenset({164, 497})
_NOT_MIGRATED: Final = frozenset({60, 81})
_LONGEST: Final = 300


def reaction(error: ClickHouseError, doing: str) -> RetryAfter | Stop:
    """The error to raise instead, one line that begins with `doing`."""
    code = error.code if isinstance(error, Error) else None
    said = _said(str(error))
    if code == _NOT_ENOUGH_SPACE or _NO_SPACE.search(str(error)):
        return RetryAfter(f"{doing}: ClickHouse's disk is full, free some space there and it goes on by itself ({code}: {said})")
    if code is None:
        return _without_code(error, said, doing)
    if code in _PASSING:
        return RetryAfter(f"{doing}: ClickHouse cannot now ({code}: {said})")
    return _for_good(code, said, doing)


def _for_good(code: int, said: str, doing: str) -> Stop:
    """An answer that will be the same each time."""
    if code in _WRONG_PASSWORD:
        return ConfigurationError(f"{doing}: ClickHouse refuses TELEMETRY_CLICKHOUSE__USER and __PASSWORD ({code})")
    if code in _NOT_ALLOWED:
        return ConfigurationError(f"{doing}: needs the writer, name it in TELEMETRY_CLICKHOUSE__USER and __PASSWORD ({code}: {said})")
    if code in _NOT_MIGRATED:
        return Stop(f"{doing}: run `telemetry migrate` first ({code}: {said})")
    return Stop(f"{doing}: ClickHouse refuses it ({code}: {said})")


def _without_code(error: ClickHouseError, said: str, doing: str) -> RetryAfter | Stop:
    """No answer at all, or one that did not come from ClickHouse itself."""
    status = re.search(r"HTTP status (\d{3})", said)
    if status is not None and not status[1].startswith("5"):
        return Stop(f"{doing}: what answers at TELEMETRY_CLICKHOUSE__URL is not ClickHouse ({said})")
    if status is None:
        said = _innermost(error)
    return RetryAfter(f"{doing}: ClickHouse does not answer at TELEMETRY_CLICKHOUSE__URL ({said})")


def _innermost(error: BaseException) -> str:
    """What the system said ("Connection refused", "timed out"), below what each library has made of it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split())[:_LONGEST] or type(error).__name__


def _said(text: str) -> str:
    """The first line of ClickHouse's own message without what the driver adds, and without data it quotes: it may be somebody's."""
    message = text.split("DB::Exception:", 1)[-1].strip().partition("\n")[0]
    message = re.sub(r" before: '(?:.*'(?=:)|.*)", "", message)
    return " ".join(message.split())[:_LONGEST]
