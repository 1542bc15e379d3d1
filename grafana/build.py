"""Writes the dashboards: `python grafana/build.py [DIRECTORY]`, by default grafana/dashboards.

The JSON is committed and never edited by hand. Its queries are SQL on the documented views; tests/contract/grafana runs each of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import queries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueGraphMode, GraphThresholdsStyleMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableOption,
)

PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
DATASOURCE = DataSourceRef(type_val=PLUGIN, uid="${datasource}")

# The rule "Menu Generation Critical" (alerting/config/rules); a test holds both together.
ERROR_RATIO_LIMIT = 0.05
MEAN_LIMIT_MS = 30_000
RULE_WINDOW_S = "60"

# A flush is due every 2 s; a page that nothing is flushed any more comes after 5 min (provisioning/alerting).
FLUSH_AGE_WARNING_S = 30
FLUSH_AGE_LIMIT_S = 300

WINDOW = "${window}"
TIME_SERIES, TABLE = 0, 1  # the plugin's `format`


class Query:
    """One query of the plugin; the SDK has no class for it. Its own builder, as the SDK asks for one."""

    def __init__(self, sql: str, query_format: int) -> None:
        self._sql = sql.strip()
        self._format = query_format

    def build(self) -> Query:
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": DATASOURCE,
            "editorType": "sql",
            "format": self._format,
            "pluginVersion": PLUGIN_VERSION,
            "rawSql": self._sql,
        }


def steps(*limits: tuple[str, float]) -> Any:
    """Green, then each colour from its limit on."""
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(
        [Threshold(color="green"), *(Threshold(color=color, value=limit) for color, limit in limits)]
    )  # fmt: skip


ERROR_RATIO_STEPS = (("red", ERROR_RATIO_LIMIT),)
MEAN_STEPS = (("red", MEAN_LIMIT_MS),)
FLUSH_AGE_STEPS = (("orange", FLUSH_AGE_WARNING_S), ("red", FLUSH_AGE_LIMIT_S))


def describe(panel: Any, panel_id: int, title: str, description: str, no_data: str) -> Any:
    return panel.id(panel_id).title(title).description(description).no_value(no_data).datasource(DATASOURCE)


def number(panel_id: int, title: str, description: str, no_data: str, query: Query, unit: str, width: int) -> Any:
    reduced = common_builders.ReduceDataOptions().calcs(["lastNotNull"])
    panel = describe(stat.Panel(), panel_id, title, description, no_data).with_target(query)
    return panel.reduce_options(reduced).unit(unit).graph_mode(BigValueGraphMode.NONE).height(4).span(width)


def graph(panel_id: int, title: str, description: str, sql: str, unit: str) -> Any:
    panel = describe(timeseries.Panel(), panel_id, title, description, "No menu was asked for in this time range")
    return panel.with_target(Query(sql, TIME_SERIES)).unit(unit).min(0).line_width(2).fill_opacity(8).height(8).span(12)


def limited(panel: Any, limits: tuple[tuple[str, float], ...]) -> Any:
    """The rule's limit as a dashed line over the panel's graph."""
    style = common_builders.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
    return panel.thresholds(steps(*limits)).thresholds_style(style)


def rows(panel_id: int, title: str, description: str, no_data: str, sql: str, width: int) -> Any:
    return describe(table.Panel(), panel_id, title, description, no_data).with_target(Query(sql, TABLE)).unit("none").height(8).span(width)


def coloured(panel: Any, column: str, unit: str, limits: tuple[tuple[str, float], ...]) -> Any:
    """One column of a table in its own unit, its text in the colour of the limit it has passed."""
    properties = {"unit": unit, "thresholds": steps(*limits).build(), "custom.cellOptions": {"type": "color-text"}}
    return panel.override_by_name(column, [DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()])


NO_MENU = "No menu was asked for in this time range"
NO_FLUSH = "Nothing was ever flushed"


def now() -> list[Any]:
    last = "of the last minute in which one was asked for"
    rate, ratio = Query(queries.menus_per_minute(RULE_WINDOW_S), TIME_SERIES), Query(queries.error_ratio(RULE_WINDOW_S), TIME_SERIES)
    mean, alerts, flush = (
        Query(queries.latency(RULE_WINDOW_S, queries.MEAN), TIME_SERIES),
        Query(queries.OPEN_ALERT_COUNT, TABLE),
        Query(queries.FLUSH_AGE, TABLE),
    )
    return [
        number(1, "Menus per minute", "Menus answered in the last full minute, whatever their outcome.", NO_MENU, rate, "short", 5),
        number(
            2, "Error ratio", f"Share of failed menus {last}; red above 5 %, where Menu Generation Critical fires.",
            NO_MENU, ratio, "percentunit", 5,
        ).thresholds(steps(*ERROR_RATIO_STEPS)),
        number(
            3, "Mean generation time", f"Mean {last}; red above 30 s, where Menu Generation Critical fires.",
            NO_MENU, mean, "ms", 5,
        ).thresholds(steps(*MEAN_STEPS)),
        number(4, "Open alerts", "Incidents that fire now, of every rule and whatever the time range.", "None", alerts, "none", 4)
        .thresholds(steps(("red", 1))),
        number(
            5, "Since the last flush", "How long ago a worker last put its state into ClickHouse. Grows while no event comes at all.",
            NO_FLUSH, flush, "s", 5,
        ).thresholds(steps(*FLUSH_AGE_STEPS)),
    ]  # fmt: skip


def menu_generation() -> list[Any]:
    rate = graph(
        6, "Menus per minute", "Menus answered, whatever their outcome, by windows that are over. A window without a menu counts 0.",
        queries.menus_per_minute(WINDOW), "short",
    )  # fmt: skip
    ratio = graph(
        7, "Error ratio", "Failed menus / all menus; a degraded menu has not failed. Dashed: the 5 % of Menu Generation Critical.",
        queries.error_ratio(WINDOW), "percentunit",
    )  # fmt: skip
    quantiles = graph(
        8, "Generation time: quantiles", "Median, 95th and 99th percentile over all menus, from merged histograms: at most 1.1 % off.",
        queries.latency(WINDOW, queries.QUANTILES), "ms",
    )  # fmt: skip
    mean = graph(
        9, "Generation time: mean", "Sum / count over all menus, exact. Dashed: the 30 s of Menu Generation Critical.",
        queries.latency(WINDOW, queries.MEAN), "ms",
    )  # fmt: skip
    return [rate, limited(ratio.max(1), ERROR_RATIO_STEPS), quantiles, limited(mean, MEAN_STEPS)]


def causes() -> list[Any]:
    outcomes = rows(
        10, "Outcome by provider", "Menus of the time range by the provider that made them; red above 5 % failed.",
        NO_MENU, queries.OUTCOME_BY_PROVIDER, 12,
    )  # fmt: skip
    errors = rows(
        11, "Top error types", "The errors that menus of the time range failed with, or got by on a fallback with.",
        "Every menu was full in this time range", queries.TOP_ERROR_TYPES, 12,
    )  # fmt: skip
    return [coloured(outcomes, "error ratio", "percentunit", ERROR_RATIO_STEPS), errors]


def operations() -> list[Any]:
    alerts = rows(
        12, "Open alerts", "Incidents that fire now, oldest first, with the window that decided and what to do.",
        "Nothing fires", queries.OPEN_ALERTS, 14,
    )  # fmt: skip
    partitions = rows(
        13, "Pipeline by partition", "How far each partition of events.v1 is read. The watermark is the event time it has reached: "
        "a lag without traffic is normal, a lag that grows with it is not.", NO_FLUSH, queries.FRESHNESS, 10,
    )  # fmt: skip
    partitions.override_by_name("watermark lag", [DynamicConfigValue(id_val="unit", value="s")])
    return [alerts, coloured(partitions, "since a flush", "s", FLUSH_AGE_STEPS)]


def annotation(name: str, state: str, colour: str) -> Any:
    target = Query(queries.transitions(state), TABLE)
    return dashboards.AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(colour).target(target)


def window_variable() -> Any:
    """Width of the windows the graphs show: those the views error_rate and latency have."""
    widths = {"1m": "60", "5m": "300", "15m": "900", "30m": "1800", "1h": "3600", "6h": "21600", "1d": "86400"}
    options = [VariableOption(selected=text == "1m", text=text, value=value) for text, value in widths.items()]
    spelt = ", ".join(f"{text} : {value}" for text, value in widths.items())
    variable = dashboards.CustomVariable("window").label("Window").values(spelt).options(options).current(options[0])
    return variable.allow_custom_value(False)


def menu_generation_dashboard() -> Any:
    built = (
        dashboards.Dashboard("Menu generation")
        .uid("menu-generation")
        .description("Whether people get their menus, how fast, and which provider or error is behind it when they do not.")
        .tags(["nutricoach", "telemetry"])
        .timezone("utc")
        .time("now-1h", "now")
        .refresh("10s")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboards.DatasourceVariable("datasource").label("Data source").type(PLUGIN))
        .with_variable(window_variable())
        .annotation(annotation("Alert fired", "firing", "red"))
        .annotation(annotation("Alert resolved", "resolved", "green"))
    )
    sections = {"Now": now(), "Menu generation": menu_generation(), "Causes": causes(), "Operations": operations()}
    for row_id, (title, panels) in enumerate(sections.items(), start=101):
        built.with_row(dashboards.Row(title).id(row_id))
        for panel in panels:
            built.with_panel(panel)
    return built.build()


def write(directory: Path) -> None:
    text = json.dumps(menu_generation_dashboard(), cls=JSONEncoder, indent=2, sort_keys=True)
    (directory / "menu_generation.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards")
