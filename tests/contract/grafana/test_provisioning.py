import re
from typing import Any

import yaml

from tests.contract.grafana.dashboards import DASHBOARD, PANELS, ROOT, compose, provisioned, target


def rule() -> dict[str, Any]:
    (group,) = provisioned("alerting/pipeline.yaml")["groups"]
    (only,) = group["rules"]
    found: dict[str, Any] = only
    return found


def red_from(panel: dict[str, Any]) -> float:
    """Where the panel turns red."""
    (step,) = [step for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"] if step["color"] == "red"]
    return float(step["value"])


def critical_rule() -> dict[str, Any]:
    rules = yaml.safe_load((ROOT / "alerting/config/rules/menu_generation.yaml").read_text("utf-8"))["rules"]
    (only,) = [rule for rule in rules if rule["name"] == "Menu Generation Critical"]
    found: dict[str, Any] = only
    return found


def test_data_source_is_the_reader_over_http() -> None:
    """Grafana speaks HTTP to the compose service as the user that can only read, in the database of the views."""
    clickhouse = provisioned("datasources/telemetry.yaml")["datasources"][0]
    assert clickhouse["type"] == "grafana-clickhouse-datasource"
    assert clickhouse["isDefault"]
    settings = clickhouse["jsonData"]
    assert (settings["protocol"], settings["port"], settings["defaultDatabase"]) == ("http", 8123, "telemetry")
    assert settings["host"] in compose()["services"]
    assert settings["username"] == "default"
    assert "secureJsonData" not in clickhouse


def test_the_plugin_is_the_one_the_queries_are_written_for() -> None:
    """Compose installs the version the dashboard and the alert rule name."""
    installed = compose()["services"]["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_SYNC"]
    named = {target(panel)["pluginVersion"] for panel in PANELS.values()} | {rule()["data"][0]["model"]["pluginVersion"]}
    assert {f"grafana-clickhouse-datasource@{version}" for version in named} == {installed}


def test_grafana_finds_the_dashboards_where_compose_puts_them() -> None:
    """The provider's path and the home page are inside the mounted directory."""
    grafana = compose()["services"]["grafana"]
    (provider,) = provisioned("dashboards/telemetry.yaml")["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "grafana/dashboards" / home.removeprefix(provider["options"]["path"] + "/")).is_file()


def test_prometheus_is_the_compose_service() -> None:
    """The second data source points at the Prometheus that scrapes the roles."""
    prometheus = provisioned("datasources/telemetry.yaml")["datasources"][1]
    assert prometheus["url"] == "http://prometheus:9090"
    assert "prometheus" in compose()["services"]


def test_colours_follow_the_rule() -> None:
    """A panel turns red exactly where "Menu Generation Critical" fires, and shows the window the rule is judged on."""
    rule = critical_rule()
    limits = re.fullmatch(r"error_rate > (\d+)% OR avg_time > (\d+)s", rule["condition"])
    assert limits is not None
    assert {red_from(PANELS[panel]) for panel in (2, 7)} == {int(limits[1]) / 100}
    assert {red_from(PANELS[panel]) for panel in (3, 9)} == {int(limits[2]) * 1000}
    assert rule["window"] == "1m"
    assert all("window_s = 60 " in target(PANELS[panel])["rawSql"] for panel in (1, 2, 3))


def test_the_dead_mans_switch_asks_what_the_panel_shows() -> None:
    """The alert rule runs the query of the panel it links to and fires where that panel turns red: after five minutes."""
    query, reduced, threshold = rule()["data"]
    assert query["datasourceUid"] == provisioned("datasources/telemetry.yaml")["datasources"][0]["uid"]
    assert rule()["dashboardUid"] == DASHBOARD["uid"]
    assert query["model"]["rawSql"] == target(PANELS[rule()["panelId"]])["rawSql"]
    assert reduced["model"]["expression"] == query["refId"]
    assert threshold["model"]["expression"] == reduced["refId"]
    assert rule()["condition"] == threshold["refId"]
    assert threshold["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [300]}
    assert red_from(PANELS[5]) == 300


def test_the_dead_mans_switch_also_fires_when_it_sees_nothing() -> None:
    """No row and no answer are what it is there for."""
    assert rule()["noDataState"] == rule()["execErrState"] == "Alerting"


def test_grafana_has_that_rule_only() -> None:
    """Every other rule is judged by the alerter, where it can be explained and replayed."""
    assert [path.name for path in (ROOT / "grafana/provisioning/alerting").iterdir()] == ["pipeline.yaml"]


def test_nothing_is_taken_for_a_variable() -> None:
    """Grafana replaces $NAME in these files by the environment: a macro in the SQL of the alert rule would silently vanish."""
    files = [path for path in (ROOT / "grafana/provisioning").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert [path.name for path in files if "$" in path.read_text("utf-8")] == []
