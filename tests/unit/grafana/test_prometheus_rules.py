from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

ROOT = Path(__file__).parents[3]
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load((ROOT / "grafana/prometheus/rules.yml").read_bytes())["groups"]
    for rule in group["rules"]
}
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "grafana/compose/prometheus.yml").read_bytes())
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_bytes())["services"]


def labels_of_metrics() -> dict[str, set[str]]:
    """Every metric of a role, by the name under which it is scraped, with its labels."""
    for module in ("alerting", "pipeline.agents", "pipeline.console", "pipeline.gateway", "pipeline.runtime"):
        importlib.import_module(f"{module}.metrics")
    metrics = {}
    for collector in set(REGISTRY._collector_to_names):
        for name in REGISTRY._collector_to_names[collector]:
            metrics[name] = set(getattr(collector, "_labelnames", ()))
    return metrics


@pytest.mark.parametrize("name", RULES)
def test_rules_ask_for_metrics_that_there_are(name: str) -> None:
    """Every metric is one of the code's, every label that is selected or grouped by one of its labels."""
    known = labels_of_metrics()
    expr = RULES[name]["expr"]
    for metric, selection in re.findall(r"(nutricoach_\w+)(?:\{([^}]*)\})?", expr):
        assert metric in known
        assert set(re.findall(r"(\w+)=", selection)) <= known[metric], metric
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", expr) for label in labels.split(", ")}
    metrics = set(re.findall(r"nutricoach_\w+", expr))
    assert all(grouped <= known[metric] for metric in metrics)


@pytest.mark.parametrize("name", RULES)
def test_rules_say_what_is_wrong_and_what_to_do(name: str) -> None:
    """A severity, a sentence, and what to look at; labels in the text are labels of the alert."""
    rule = RULES[name]
    assert rule["labels"]["severity"] in {"critical", "high", "medium", "none"}
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"].keys() == {"summary", "description"}
    for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
        assert re.search(rf"by \([^)]*{label}|{label}=", rule["expr"]) or "up" in rule["expr"], label


def test_prometheus_reads_them() -> None:
    """The rules are where Prometheus of the compose file looks for them, and every role that is awaited is scraped."""
    (path,) = PROMETHEUS["rule_files"]
    assert f"./grafana/prometheus/rules.yml:{path}:ro" in SERVICES["prometheus"]["volumes"]
    scraped = {job["job_name"] for job in PROMETHEUS["scrape_configs"]}
    assert set(re.findall(r'job="(\w+)"', RULES["RoleDown"]["expr"])) <= scraped <= set(SERVICES)
