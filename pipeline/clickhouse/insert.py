"""Writing rows. Every setting that decides what a row means is sent along, so that no server's default changes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.tables import RowFormat, Table
from pipeline.runtime.errors import Stop

#: Values in the order of a table's columns.
Row = tuple[Any, ...]

_ALWAYS: Final = {
    "async_insert": 0,
    "wait_end_of_query": 1,
    "date_time_input_format": "best_effort",
    "input_format_allow_errors_num": 0,
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_null_as_default": 1,
    "input_format_parallel_parsing": 0,
    "input_format_json_read_bools_as_numbers": 0,
    "input_format_json_read_bools_as_strings": 0,
    "input_format_json_read_numbers_as_strings": 0,
}
#: A row of ours is an array of exactly the columns, and a text is a string: nothing is converted silently.
_OURS: Final = {
    "input_format_skip_unknown_fields": 0,
    "input_format_json_read_arrays_as_strings": 0,
    "input_format_json_read_objects_as_strings": 0,
}
#: A record of a topic may have fields from a newer version, and what is nested in it is kept as JSON text.
_ARCHIVE: Final = {
    "input_format_skip_unknown_fields": 1,
    "input_format_json_read_arrays_as_strings": 1,
    "input_format_json_read_objects_as_strings": 1,
}
_SETTINGS: Final[Mapping[RowFormat, Mapping[str, object]]] = {"JSONCompactEachRow": _ALWAYS | _OURS, "JSONEachRow": _ALWAYS | _ARCHIVE}


def encode(rows: Sequence[Row]) -> bytes:
    """Rows as `insert` takes them, divided by commas. orjson leaves 4 KiB allocated under each of its results: encode many at once."""
    return orjson.dumps(rows, option=orjson.OPT_NON_STR_KEYS)[1:-1]


async def insert(client: Client, table: Table, rows: bytes, count: int) -> None:
    """Write `count` rows, joined by `,` or a line end, in the format of the table; returns when they are stored.

    Times are seconds since 1970 as JSON numbers (`ms / 1000`, exact to the millisecond) or ISO 8601; UUIDs are texts, maps JSON
    objects; null stands for '' or an empty map.

    Raises:
        RetryAfter: ClickHouse is away or busy; some rows may be stored; call again with the same rows.
        Stop: ClickHouse refuses a row, or says it wrote another number of rows than were sent.
    """
    if not count:
        return
    # No table has a materialized view: the rows of those would be counted as well.
    written = await client.insert_block(table.name, table.columns, rows, table.row_format, _SETTINGS[table.row_format])
    if written != count:
        raise Stop(
            f"inserting into {table.name}: sent {count} rows, ClickHouse says it wrote {written}; nothing is lost, look into its log"
        )
