from __future__ import annotations

from typing import Any

from tests.bench.check import compare_panes

EXPECTED = {
    ("api_request", ("menu-api", "/v1/search", "2xx"), 10_000): (3, 42_500_000),
    ("events", ("api_request", "menu-api"), 10_000): (3, 0),
}


def row(metric: str, labels: dict[str, str], count: int, total: int, in_buckets: int) -> dict[str, Any]:
    return {"metric": metric, "labels": labels, "start_ms": 10_000, "count": count, "sum": total, "in_buckets": in_buckets}


def rows(count: int = 3, total: int = 42_500_000, in_buckets: int = 3) -> list[dict[str, Any]]:
    return [
        row("api_request", {"status_class": "2xx", "service": "menu-api", "route": "/v1/search"}, count, total, in_buckets),
        row("events", {"event_type": "api_request", "service": "menu-api"}, 3, 0, 0),
    ]


def test_panes_as_counted_are_right() -> None:
    """The order of the labels does not matter."""
    assert compare_panes(rows(), EXPECTED) == ""


def test_one_event_too_few_or_too_many_is_seen() -> None:
    """It says which pane, what was found and what was counted."""
    said = compare_panes(rows(count=2, in_buckets=2), EXPECTED)
    assert said.startswith("1 of 2 panes differ")
    assert "(2, 42500000), counted (3, 42500000)" in said


def test_a_sum_off_by_a_millionth_is_seen() -> None:
    """Sums are integers: there is no tolerance."""
    assert "42500001" in compare_panes(rows(total=42_500_001), EXPECTED)


def test_a_histogram_that_lacks_a_value_is_seen() -> None:
    """Counts and sums alone would not need histograms to be made."""
    assert "2 values in buckets of 3" in compare_panes(rows(in_buckets=2), EXPECTED)


def test_a_pane_that_is_missing_and_one_too_many_are_seen() -> None:
    """Neither hides behind the other."""
    other = row("recipe_interaction", {"action": "view"}, 1, 0, 0)
    assert compare_panes([*rows()[:1], other], EXPECTED).startswith("2 of 2 panes differ")
