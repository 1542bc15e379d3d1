"""Asks what Grafana asks: over HTTP, without credentials, in the database `telemetry`."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.contract.grafana.dashboards import ANNOTATIONS, PANELS, provisioned, target
from tests.contract.grafana.macros import TimeRange, expand


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and their ClickHouse types in order, and the rows; NaN and infinities are strings, as no JSON number can be one."""

    columns: dict[str, str]
    rows: list[list[Any]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def queries() -> dict[str, str]:
    """Every query there is, by where it is."""
    panels = {f"panel {panel_id}, {panel['title']}": target(panel)["rawSql"] for panel_id, panel in PANELS.items()}
    annotations = {f"annotation {name}": annotation["target"]["rawSql"] for name, annotation in ANNOTATIONS.items()}
    rule = provisioned("alerting/pipeline.yaml")["groups"][0]["rules"][0]
    return panels | annotations | {f"alert rule {rule['title']}": rule["data"][0]["model"]["rawSql"]}


def ask(url: str, sql: str, time_range: TimeRange, window: str) -> Answer:
    """The server's answer to a query of the dashboard; an error of the server fails the test with its text."""
    settings = {
        "database": "telemetry",
        "default_format": "JSONCompact",
        "output_format_json_quote_64bit_integers": "0",
        "output_format_json_quote_denormals": "1",
    }
    expanded = expand(sql, time_range, {"window": window})
    request = urllib.request.Request(f"{url}/?{urllib.parse.urlencode(settings)}", expanded.encode())
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as response:
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{error.read().decode()}\nin {expanded}") from None
    return Answer({column["name"]: column["type"] for column in answer["meta"]}, answer["data"])
