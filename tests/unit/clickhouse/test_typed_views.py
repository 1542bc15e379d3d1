from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from pipeline.clickhouse.typed_views import metrics_view, typed_view
from schemas.metrics import Metric


class Properties(TypedDict):
    """Somebody's
    properties."""

    text: Annotated[str, Field(max_length=5)]
    number: int
    ratio: NotRequired[Annotated[float, Field(ge=0)] | None]
    sure: NotRequired[bool]
    word: Literal["it's", "b"]
    maybe_word: Literal["a", "b"] | None
    names: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=3)]
    maybe_numbers: NotRequired[list[int] | None]


class Happened(TypedDict):
    event_type: Literal["happened"]
    properties: Properties


def lines(sql: str) -> list[str]:
    return [line.strip().rstrip(",") for line in sql.splitlines()]


@pytest.mark.parametrize(
    ("declaration", "expression"),
    [
        ("text String COMMENT 'Property text'", "JSONExtract(properties, 'text', 'String') AS text"),
        ("number Int64 COMMENT 'Property number'", "JSONExtract(properties, 'number', 'Int64') AS number"),
        (
            "ratio Nullable(Float64) COMMENT 'Property ratio; NULL when absent'",
            "JSONExtract(properties, 'ratio', 'Nullable(Float64)') AS ratio",
        ),
        ("sure Nullable(Bool) COMMENT 'Property sure; NULL when absent'", "JSONExtract(properties, 'sure', 'Nullable(Bool)') AS sure"),
        (r"word String COMMENT 'Property word: it\'s, b'", "JSONExtract(properties, 'word', 'String') AS word"),
        (
            "maybe_word Nullable(String) COMMENT 'Property maybe_word: a, b; NULL when absent'",
            "JSONExtract(properties, 'maybe_word', 'Nullable(String)') AS maybe_word",
        ),
        ("names Array(String) COMMENT 'Property names'", "JSONExtract(properties, 'names', 'Array(String)') AS names"),
        (
            "maybe_numbers Array(Int64) COMMENT 'Property maybe_numbers; empty when absent'",
            "JSONExtract(properties, 'maybe_numbers', 'Array(Int64)') AS maybe_numbers",
        ),
    ],
)
def test_a_property_is_a_column_of_its_type(declaration: str, expression: str) -> None:
    """Each property is declared and extracted with the ClickHouse type of its Python type, nullable where it may be absent."""
    sql = lines(typed_view("happened", Happened))
    assert declaration in sql
    assert expression in sql


def test_a_view_reads_first_copies_of_its_type_only() -> None:
    """The view takes its rows from the de-duplicated events of its type, and says what the schema says of them."""
    sql = typed_view("happened", Happened)
    assert sql.startswith("CREATE OR REPLACE VIEW telemetry.happened\n(")
    assert "FROM telemetry.events_raw FINAL\nWHERE event_type = 'happened'" in sql
    assert "    properties" not in sql
    assert "Somebody\\'s properties." in sql


def test_a_property_named_like_a_column_of_every_event_is_refused() -> None:
    """Two columns of one name would hide each other."""
    event = TypedDict("event", {"properties": TypedDict("p", {"user_id": str})})  # type: ignore[misc]  # noqa: UP013
    with pytest.raises(ValueError, match=r"happened\.user_id"):
        typed_view("happened", event)


@pytest.mark.parametrize("hint", [Any, dict[str, str], int | str])
def test_a_type_without_a_column_is_refused(hint: Any) -> None:
    """A property whose type no column can hold is found when the views are made, not when they are read."""
    event = TypedDict("event", {"properties": TypedDict("p", {"x": hint})})  # type: ignore[misc]  # noqa: UP013
    with pytest.raises(TypeError, match="no column type"):
        typed_view("happened", event)


def test_metrics_are_rows() -> None:
    """The view of metrics has one row each: name, labels, unit, error label and its values in a fixed order."""
    metrics = {
        "a": Metric("a", ("x", "y"), "ms", "y", frozenset({"q", "p"}), frozenset({"q", "p", "o"})),
        "b": Metric("b", ()),
    }
    assert "    ('a', ['x', 'y'], 'ms', 'y', ['p', 'q'], ['o', 'p', 'q']),\n    ('b', [], '', '', [], []))" in metrics_view(metrics)
