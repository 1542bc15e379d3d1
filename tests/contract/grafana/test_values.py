"""The numbers of the dashboard against those worked out by hand from the table at the top of rows.py."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.grafana.conftest import Warehouse
from tests.contract.grafana.dashboards import ANNOTATIONS, PANELS, provisioned, target
from tests.contract.grafana.macros import TimeRange
from tests.contract.grafana.reader import ask
from tests.contract.grafana.rows import SHOWN, at


def shown(warehouse: Warehouse, panel_id: int, window: str = "60") -> list[dict[str, Any]]:
    return ask(warehouse.url, target(PANELS[panel_id])["rawSql"], SHOWN, window).dicts()


def series(warehouse: Warehouse, panel_id: int, column: str, window: str = "60") -> dict[float, Any]:
    """Minutes after ten -> value."""
    rows = shown(warehouse, panel_id, window)
    return {(moment(row["time"]) - at(0)).total_seconds() / 60: row[column] for row in rows}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def middle(bucket: int) -> float:
    """What a quantile in `bucket` is shown as."""
    return float(2 ** ((bucket + 0.5) / 32))


@pytest.mark.parametrize("panel_id", [1, 6])
def test_menus_per_minute(warehouse: Warehouse, panel_id: int) -> None:
    """Every minute that is over at 10:05:45, zeros included; 10:05 is not over and not shown."""
    assert series(warehouse, panel_id, "menus per minute") == {0: 8, 1: 0, 2: 3, 3: 0, 4: 0}


def test_menus_per_minute_in_wider_windows(warehouse: Warehouse) -> None:
    """11 menus in five minutes are 2.2 a minute; the hour is not over."""
    assert series(warehouse, 6, "menus per minute", "300") == {0: 2.2}
    assert series(warehouse, 6, "menus per minute", "3600") == {}


@pytest.mark.parametrize("panel_id", [2, 7])
def test_error_ratio(warehouse: Warehouse, panel_id: int) -> None:
    """2 of 8, degraded ones are no errors, 2 of 2; unknown where there was no menu. The current minute is shown."""
    assert series(warehouse, panel_id, "error ratio") == {0: 0.25, 1: None, 2: 0, 3: None, 4: None, 5: 1}


def test_error_ratio_in_wider_windows(warehouse: Warehouse) -> None:
    """2 of 11 and 2 of 2 in five minutes each, 4 of 13 in the hour."""
    assert series(warehouse, 7, "error ratio", "300") == {0: pytest.approx(2 / 11), 5: 1}
    assert series(warehouse, 7, "error ratio", "3600") == {0: pytest.approx(4 / 13)}


@pytest.mark.parametrize("panel_id", [3, 9])
def test_mean(warehouse: Warehouse, panel_id: int) -> None:
    """(6 * 1,000 + 30,000 + 42,000) / 8, 500, 100: over all menus, from exact sums."""
    assert series(warehouse, panel_id, "mean") == {0: 9750, 1: None, 2: 500, 3: None, 4: None, 5: 100}


def test_quantiles(warehouse: Warehouse) -> None:
    """Of eight: the 4th (1,000 ms), and for both upper ones the 8th (42,000 ms); within 1.1 % of the true value."""
    first = shown(warehouse, 8)[0]
    assert first["p50"] == pytest.approx(middle(318)) == pytest.approx(1_000, rel=0.011)
    assert first["p95"] == first["p99"] == pytest.approx(middle(491)) == pytest.approx(42_000, rel=0.011)


def test_quantiles_in_wider_windows(warehouse: Warehouse) -> None:
    """Of the 13 of the hour, sorted 100 100 500 500 500 1000 …: the 7th is 1,000 ms; the 13th is the longest."""
    (hour,) = shown(warehouse, 8, "3600")
    assert hour["p50"] == pytest.approx(middle(318))
    assert hour["p95"] == hour["p99"] == pytest.approx(middle(491))


def test_outcome_by_provider(warehouse: Warehouse) -> None:
    """Menus of the range by provider, most failures first; the 99 of two hours before are not in it."""
    assert shown(warehouse, 10) == [
        {"provider": "claude", "full": 0, "degraded": 0, "failed": 2, "error ratio": 1},
        {"provider": "(none)", "full": 0, "degraded": 0, "failed": 1, "error ratio": 1},
        {"provider": "ollama", "full": 6, "degraded": 3, "failed": 1, "error ratio": 0.1},
    ]


def test_top_error_types(warehouse: Warehouse) -> None:
    """A copy counts once, what failed without saying why is a line of its own, a full menu is none."""
    rows = [row | {"last seen": moment(row["last seen"])} for row in shown(warehouse, 11)]
    assert rows == [
        {"error type": "timeout", "failed": 2, "degraded": 1, "last seen": at(2, 10)},
        {"error type": "(not given)", "failed": 1, "degraded": 0, "last seen": at(5)},
    ]


def test_no_error_types_where_every_menu_was_full(warehouse: Warehouse) -> None:
    """The first twenty seconds have one menu, a full one: that is no error, not one without a name."""
    first = TimeRange(int(at(0).timestamp() * 1000), int(at(0, 20).timestamp() * 1000))
    assert ask(warehouse.url, target(PANELS[11])["rawSql"], first, "60").rows == []


def test_open_alerts(warehouse: Warehouse) -> None:
    """Those whose last word is firing, whenever it was said: not the resolved one, not the one found out too late."""
    assert shown(warehouse, 4) == [{"open alerts": 2}]
    rows = shown(warehouse, 12)
    assert [(row["incident key"], row["severity"], row["rule"], moment(row["since"])) for row in rows] == [
        ("d", "high", "pipeline_stalled", at(-121)),
        ("b", "critical", "Menu Generation Critical", at(5)),
    ]
    assert rows[1]["summary"] == "b is firing"
    assert (moment(rows[1]["window from"]), moment(rows[1]["window to"])) == (at(0), at(1))


def test_annotations(warehouse: Warehouse) -> None:
    """A mark where an alert of the range fired and one where it was resolved; a repeated record is one mark."""
    said = {
        name: [
            (moment(row["time"]), row["title"], row["text"])
            for row in ask(warehouse.url, annotation["target"]["rawSql"], SHOWN, "60").dicts()
        ]
        for name, annotation in ANNOTATIONS.items()
    }
    assert said == {
        "Alert fired": [
            (at(1), "Menu Generation Critical firing", "a is firing"),
            (at(5, 10), "Menu Generation Critical firing", "b is firing"),
        ],
        "Alert resolved": [(at(4), "Menu Generation Critical resolved", "a is resolved")],
    }


def test_age_of_the_last_flush(warehouse: Warehouse) -> None:
    """The newest flush of any partition was 40 s before the rows were written; panel and alert rule say the same."""
    since_filled = (datetime.now(UTC) - warehouse.filled_at).total_seconds()
    rule = provisioned("alerting/pipeline.yaml")["groups"][0]["rules"][0]["data"][0]["model"]["rawSql"]
    for sql in (target(PANELS[5])["rawSql"], rule):
        ((age,),) = ask(warehouse.url, sql, SHOWN, "60").rows
        assert 40 <= age <= 40 + since_filled + 2


def test_pipeline_by_partition(warehouse: Warehouse) -> None:
    """One line for each partition with its newest state; lag and age are measured against the server's clock."""
    zero, three = shown(warehouse, 13)
    assert (zero["partition"], zero["read to offset"], moment(zero["watermark up to"])) == (0, 121, at(4, 20))
    assert (three["partition"], three["read to offset"], moment(three["watermark up to"])) == (3, 61, at(5, 45))
    now = datetime.now(UTC)
    assert zero["watermark lag"] == pytest.approx((now - at(4, 20)).total_seconds(), abs=5)
    since_filled = (now - warehouse.filled_at).total_seconds()
    assert 40 <= zero["since a flush"] <= 40 + since_filled + 2
    assert 3600 <= three["since a flush"] <= 3600 + since_filled + 2
