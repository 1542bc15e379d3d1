from __future__ import annotations

import lzma
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest

from pipeline.demo import retail
from pipeline.demo.retail import Row, events, read_rows, write_items
from schemas.event import decode

AT = datetime(2011, 11, 1, 8, 26, tzinfo=UTC)
ROWS = [
    Row("536365", "85123A", 6, AT, "17850"),
    Row("C536379", "D", -1, AT, ""),
    Row("536365", "71053", 8, AT, "17850"),
]


def test_an_invoice_is_one_menu_where_its_first_row_stands() -> None:
    """Lines, duration and outcome of an invoice come from all of its rows, also those further down."""
    menus = [event for event in events(ROWS) if event["event_type"] == "menu_generated"]
    assert [(m["properties"]["menu_id"], m["properties"]["recipe_count"]) for m in menus] == [("536365", 2), ("C536379", 1)]
    assert [m["properties"]["generation_time_ms"] for m in menus] == [214, 101]
    assert [m["properties"]["outcome"] for m in menus] == ["full", "failed"]


def test_every_row_is_a_view_by_its_customer_or_its_invoice() -> None:
    """A row without a customer is keyed by its invoice, so that it stays in order with it."""
    views = [event for event in events(ROWS) if event["event_type"] == "recipe_view"]
    assert [view["properties"]["recipe_id"] for view in views] == ["85123A", "D", "71053"]
    assert [(view.get("user_id"), view.get("session_id")) for view in views] == [("17850", None), (None, "C536379"), ("17850", None)]


def test_what_is_made_of_a_row_is_a_valid_event() -> None:
    """With an id every event passes the contract."""
    values = [orjson.dumps(event | {"event_id": f"00000000-0000-7000-8000-{number:012d}"}) for number, event in enumerate(events(ROWS))]
    assert not decode(values).bad


CSV = """Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country
536365,85123A,"LANTERN, WHITE",6,11/24/2011 9:15,2.55,17850.0,United Kingdom
C536379,D,Discount,-1,11/24/2011 9:27,27.5,,United Kingdom
536380,22960,JAM SET,2,1/24/2011 9:20,4.25,17809.0,United Kingdom
536381,22961,JAM SET,2,11/2/2011 9:20,4.25,17809.0,United Kingdom
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "online_retail.csv.xz"
    file.write_bytes(lzma.compress(CSV.encode()))
    return file


def test_one_day_has_the_rows_of_that_day_alone(shop: Path) -> None:
    """24 November, neither 24 January nor 2 November; everything without a day."""
    assert [row.invoice for row in read_rows(shop, date(2011, 11, 24))] == ["536365", "C536379"]
    assert read_rows(shop, date(2011, 11, 24)) == read_rows(shop)[:2]
    assert [row.invoice for row in read_rows(shop)] == ["536365", "C536379", "536380", "536381"]


def test_item_rows_of_a_stretch_are_views_alone(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[begin, end), and no invoices."""
    monkeypatch.setattr(retail, "cached_file", lambda: shop)
    out = tmp_path / "items.ndjson"
    begin = datetime(2011, 11, 24, 9, 15, tzinfo=UTC)
    assert write_items(out, begin, begin.replace(minute=27)) == 1
    (event,) = (orjson.loads(line) for line in out.read_bytes().splitlines())
    assert (event["event_type"], event["properties"]) == ("recipe_view", {"recipe_id": "85123A"})
