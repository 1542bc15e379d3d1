from __future__ import annotations

from tests.bench.table import table


def test_numbers_stand_to_the_right_and_texts_to_the_left() -> None:
    """One line of heads, one of dashes, one per row; no blanks at the ends of lines."""
    rows = [{"who": "ours", "events_per_s": 71_400, "us": 11.46}, {"who": "stock Faust", "events_per_s": 9_900, "us": 8.0}]
    assert table(rows).splitlines() == [
        "who          events_per_s    us",
        "-----------  ------------  ----",
        "ours               71,400  11.5",
        "stock Faust         9,900  8.00",
    ]


def test_what_a_row_lacks_is_left_empty() -> None:
    """A later row may have other columns."""
    assert table([{"a": 1}, {"b": True}]).splitlines() == ["a    b", "-  ---", "1", "   yes"]


def test_no_rows_make_no_table() -> None:
    """A section that measured nothing prints nothing."""
    assert table([]) == "\n"
