import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.grafana.dashboards import DASHBOARD, PANELS, ROOT, VARIABLES, target

TITLED = [pytest.param(panel, id=f"{panel['id']}-{panel['title']}") for panel in PANELS.values()]


def references(node: Any) -> list[str]:
    """The uid of every data source named anywhere in `node`."""
    if isinstance(node, list):
        return [uid for child in node for uid in references(child)]
    if not isinstance(node, dict):
        return []
    here = [node["datasource"]["uid"]] if isinstance(node.get("datasource"), dict) else []
    return here + [uid for child in node.values() for uid in references(child)]


def test_committed_dashboards_are_what_build_writes(tmp_path: Path) -> None:
    """Nobody edits the JSON by hand or forgets to write it anew."""
    subprocess.run([sys.executable, str(ROOT / "grafana/build.py"), str(tmp_path)], check=True)
    committed = {path.name: path.read_text("utf-8") for path in (ROOT / "grafana/dashboards").iterdir()}
    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == committed


def test_has_a_stable_address_and_cannot_be_edited_in_place() -> None:
    """Links to it stay valid, times are UTC as everywhere, and a change in the browser cannot get lost at the next start."""
    assert DASHBOARD["uid"] == "menu-generation"
    assert DASHBOARD["title"] == "Menu generation"
    assert DASHBOARD["timezone"] == "utc"
    assert DASHBOARD["editable"] is False


def test_ids_are_unique() -> None:
    """Grafana drops one of two panels that share an id."""
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) == 17
    assert 0 not in ids


def test_panels_fill_the_width_and_do_not_overlap() -> None:
    """No panel covers another or leaves the 24 columns, and no line has a hole."""
    cells: list[tuple[int, int]] = []
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells += itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    assert len(cells) == len(set(cells))
    height = max(y for _, y in cells) + 1
    assert set(cells) == set(itertools.product(range(24), range(height)))


@pytest.mark.parametrize("panel", TITLED)
def test_panel_explains_itself(panel: dict[str, Any]) -> None:
    """Each has a title, a description, a unit and a text for when there is nothing to show."""
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["title"]
    assert len(panel["description"]) > 20
    assert defaults["unit"]
    assert defaults["noValue"]


@pytest.mark.parametrize("panel", TITLED)
def test_query_is_of_the_plugin(panel: dict[str, Any]) -> None:
    """Graphs and the numbers drawn from them ask for time series, tables for tables, all in plain SQL."""
    query = target(panel)
    assert query["editorType"] == "sql"
    assert query["refId"] == "A"
    if panel["type"] in ("timeseries", "table"):
        assert query["format"] == {"timeseries": 0, "table": 1}[panel["type"]]


def test_data_sources_are_named_by_variable_only() -> None:
    """The dashboard works with whatever ClickHouse data source is chosen at its top."""
    uids = references(DASHBOARD)
    assert set(uids) == {"${datasource}"}
    assert len(uids) == 2 * (len(PANELS) + 2)
    assert VARIABLES["datasource"]["type"] == "datasource"
    assert VARIABLES["datasource"]["query"] == "grafana-clickhouse-datasource"


def test_window_offers_the_windows_of_the_views() -> None:
    """The choices are the seven widths error_rate and latency have, the first one being the rule's."""
    window = VARIABLES["window"]
    assert [int(option["value"]) for option in window["options"]] == [60, 300, 900, 1800, 3600, 21600, 86400]
    assert window["current"]["value"] == "60"
    assert window["query"] == ", ".join(f"{option['text']} : {option['value']}" for option in window["options"])
    assert window["allowCustomValue"] is False
