import re
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.grafana.conftest import Warehouse
from tests.contract.grafana.dashboards import ANNOTATIONS, PANELS, VARIABLES, WINDOWS, target
from tests.contract.grafana.reader import Answer, ask, queries
from tests.contract.grafana.rows import LONG_AGO, SHOWN

NUMBER = re.compile(r"(Nullable\()?(U?Int(8|16|32|64)|Float(32|64))\)?")
TIME = re.compile(r"DateTime64\(3, 'UTC'\)")
TEXT = re.compile(r"String|LowCardinality\(String\)")

GRAPHS = {panel_id: panel for panel_id, panel in PANELS.items() if target(panel)["format"] == 0}
TABLES = {panel_id: panel for panel_id, panel in PANELS.items() if target(panel)["format"] == 1}


def asked(warehouse: Warehouse, panel_id: int, window: str = "60") -> Answer:
    return ask(warehouse.url, target(PANELS[panel_id])["rawSql"], SHOWN, window)


def numbers(answer: Answer) -> list[Any]:
    kinds = list(answer.columns.values())
    return [value for row in answer.rows for kind, value in zip(kinds, row, strict=True) if NUMBER.fullmatch(kind)]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("panel_id", GRAPHS)
def test_graph_is_a_time_series(warehouse: Warehouse, panel_id: int, window: str) -> None:
    """Time first, ascending and on the window's grid; then numbers only, none of them NaN; with every window that can be chosen."""
    answer = asked(warehouse, panel_id, window)
    time, *values = answer.columns.items()
    assert time[0] == "time"
    assert TIME.fullmatch(time[1])
    assert values
    assert all(NUMBER.fullmatch(kind) for _, kind in values)
    own = "60" if "${window}" not in target(PANELS[panel_id])["rawSql"] else window
    times = [seconds(row[0]) for row in answer.rows]
    assert times == sorted(set(times))
    assert all(second % int(own) == 0 for second in times)
    assert all(value is None or isinstance(value, int | float) for value in numbers(answer))


@pytest.mark.parametrize("panel_id", GRAPHS)
def test_graph_shows_something(warehouse: Warehouse, panel_id: int) -> None:
    """With menus in the range there is a line, and its last point, which the numbers on top show, is one of them."""
    answer = asked(warehouse, panel_id)
    assert any(value is not None for value in numbers(answer))
    assert answer.rows[-1][1] is not None


@pytest.mark.parametrize("panel_id", TABLES)
def test_table_has_rows_the_plugin_can_show(warehouse: Warehouse, panel_id: int) -> None:
    """Every column has a type the plugin turns into a number, a time or a text, and no number is NaN."""
    answer = asked(warehouse, panel_id)
    assert answer.rows
    assert [kind for kind in answer.columns.values() if not (NUMBER.fullmatch(kind) or TIME.fullmatch(kind) or TEXT.fullmatch(kind))] == []
    assert all(isinstance(value, int | float) for value in numbers(answer))


@pytest.mark.parametrize("panel_id", PANELS)
def test_settings_of_columns_meet_a_column(warehouse: Warehouse, panel_id: int) -> None:
    """A unit or a colour set for a column by its name is set for one that the query returns."""
    named = {override["matcher"]["options"] for override in PANELS[panel_id]["fieldConfig"]["overrides"]}
    assert named <= asked(warehouse, panel_id).columns.keys()


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotation_has_what_grafana_looks_for(warehouse: Warehouse, name: str) -> None:
    """Columns time, title, text and tags, by these names."""
    answer = ask(warehouse.url, ANNOTATIONS[name]["target"]["rawSql"], SHOWN, "60")
    assert list(answer.columns) == ["time", "title", "text", "tags"]
    assert TIME.fullmatch(answer.columns["time"])
    assert answer.rows


@pytest.mark.parametrize("name", queries())
def test_works_where_nothing_is(warehouse: Warehouse, name: str) -> None:
    """On a database that has just been made each query is valid and returns no row, so its panel shows the no-data text."""
    expected: list[list[Any]] = [[0]] if name.startswith("panel 4,") else []  # a count of open alerts is 0, not unknown
    assert warehouse.when_new[name].rows == expected


def test_a_range_without_menus_is_empty(warehouse: Warehouse) -> None:
    """What the time range does not cover is not drawn, not even as zeros."""
    for panel_id in (*GRAPHS, 10, 11):
        assert ask(warehouse.url, target(PANELS[panel_id])["rawSql"], LONG_AGO, "60").rows == [], panel_id


def test_no_variable_asks_the_database() -> None:
    """The variables are the data source and a fixed list, so there is no further query to run here."""
    assert {variable["type"] for variable in VARIABLES.values()} == {"datasource", "custom"}
