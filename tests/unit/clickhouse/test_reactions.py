from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from pipeline.clickhouse.reactions import reaction
from pipeline.runtime.errors import ConfigurationError, RetryAfter, Stop

DRIVER = "Received ClickHouse exception, code: 27, server response: Code: 27. DB::Exception: "


@pytest.mark.parametrize("code", [159, 202, 203, 209, 210, 241, 242, 243, 252, 373, 999, 1000])
def test_what_passes_is_tried_again(code: int) -> None:
    """Time, load, memory, disk, network and shutdown are RetryAfter with ClickHouse's own words."""
    error = reaction(DatabaseError(DRIVER + "No luck. (SOMETHING)", code=code), "inserting into t")
    assert type(error) is RetryAfter
    assert str(error) == f"inserting into t: ClickHouse cannot now ({code}: No luck. (SOMETHING))"


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
