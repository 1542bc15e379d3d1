from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from pipeline.clickhouse.reactions import reaction
from pipeline.runtime.errors import ConfigurationError, RetryAfter, Stop

DRIVER = "Received ClickHouse exception, code: 27, server response: Code: 27. DB::Exception: "


@pytest.mark.parametrize("code", [75, 159, 202, 203, 209, 210, 241, 242, 252, 373, 999, 1000])
def test_what_passes_is_tried_again(code: int) -> None:
    """Time, load, memory, disk, network and shutdown are RetryAfter with ClickHouse's own words."""
    error = reaction(DatabaseError(DRIVER + "No luck. (SOMETHING)", code=code), "inserting into t")
    assert type(error) is RetryAfter
    assert str(error) == f"inserting into t: ClickHouse cannot now ({code}: No luck. (SOMETHING))"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (243, "Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"),
        (243, "Less than 64 MiB are free for /data/clickhouse: free some space. (NOT_ENOUGH_SPACE)"),
        (75, "Cannot write to file /data/x.bin, errno: 28, strerror: No space left on device. (CANNOT_WRITE_TO_FILE_DESCRIPTOR)"),
        (76, "Cannot open file /data/x.tmp, errno: 28, strerror: No space left on device. (CANNOT_OPEN_FILE)"),
        (1001, "std::__1::__fs::filesystem::filesystem_error: in create_directories: No space left on device. (STD_EXCEPTION)"),
        (75, "Cannot write to file /data/x.bin, errno: 122, strerror: Disk quota exceeded. (CANNOT_WRITE_TO_FILE_DESCRIPTOR)"),
    ],
)
def test_a_full_disk_is_said_and_waited_for(code: int, said: str) -> None:
    """Whatever number it comes with: what is wrong, where, and what to do, in one line; it passes when somebody makes room."""
    error = reaction(DatabaseError(DRIVER + said, code=code), "inserting into t")
    assert type(error) is RetryAfter
    what_to_do = "ClickHouse's disk is full, free some space there and it goes on by itself"
    assert str(error) == f"inserting into t: {what_to_do} ({code}: {said})"


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        (27, Stop, "refuses it"),
        (62, Stop, "refuses it"),
        (60, Stop, "telemetry migrate"),
        (81, Stop, "telemetry migrate"),
        (516, ConfigurationError, "TELEMETRY_CLICKHOUSE__USER"),
        (164, ConfigurationError, "needs the writer"),
        (497, ConfigurationError, "needs the writer"),
    ],
)
def test_what_never_passes_stops(code: int, kind: type[Stop], says: str) -> None:
    """A refused row, an unknown table and wrong credentials are Stop with what to do, in one line."""
    error = reaction(DatabaseError(DRIVER + "Long\nstory", code=code), "x")
    assert type(error) is kind
    assert says in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Error HTTPConnectionPool(host='127.0.0.1', port=1): Read timed out.", RetryAfter),
        ("HTTP driver received HTTP status 502, server response: Bad Gateway", RetryAfter),
        ("HTTP driver received HTTP status 404, server response: no such page", Stop),
    ],
)
def test_an_answer_without_a_code_is_not_clickhouses(message: str, kind: type[Exception]) -> None:
    """No answer and a broken gateway pass; any other answer means that somebody else listens there."""
    assert type(reaction(OperationalError(message), "x")) is kind


def test_what_the_system_said_is_told() -> None:
    """A driver's words about its own retries help nobody; that the connection was refused, or timed out, does."""
    try:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except OSError as refused:
            raise OperationalError("Error executing HTTP request") from refused
    except OperationalError as error:
        told = str(reaction(error, "inserting into t"))
    assert told == "inserting into t: ClickHouse does not answer at TELEMETRY_CLICKHOUSE__URL (Connection refused)"


def test_rows_are_not_quoted() -> None:
    """What ClickHouse repeats of the rows it could not read is left out, the place of the error is not."""
    message = (
        DRIVER
        + """Cannot parse input: expected '"' before: 'x",": (at row 1)",5]': (while reading the value of key user_id): (at row 7)
: Row 1: Column 0, name: user_id, parsed text: "ada@example.com"
"""
    )
    line = str(reaction(DatabaseError(message, code=27), "x"))
    assert "ada" not in line
    assert "user_id" in line
