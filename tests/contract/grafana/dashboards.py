"""The committed dashboard and provisioning, as the tests read them."""

import json
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "grafana/dashboards/menu_generation.json").read_text("utf-8"))
PANELS: dict[int, dict[str, Any]] = {panel["id"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
VARIABLES: dict[str, dict[str, Any]] = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
ANNOTATIONS: dict[str, dict[str, Any]] = {annotation["name"]: annotation for annotation in DASHBOARD["annotations"]["list"]}
WINDOWS = [option["value"] for option in VARIABLES["window"]["options"]]


def provisioned(name: str) -> Any:
    """One file of grafana/provisioning."""
    return yaml.safe_load((ROOT / "grafana/provisioning" / name).read_text("utf-8"))


def compose() -> Any:
    """docker-compose.yml, which mounts all this."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))


def target(panel: dict[str, Any]) -> dict[str, Any]:
    """The one query of a panel."""
    (only,) = panel["targets"]
    found: dict[str, Any] = only
    return found
