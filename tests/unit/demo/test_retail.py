from __future__ import annotations

from datetime import UTC, datetime

import orjson

from pipeline.demo.retail import Row, events
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
