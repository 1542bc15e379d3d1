from __future__ import annotations

import re
from pathlib import Path

import pytest

import alerting
from alerting.engine.quantity import QUANTITIES, Quantity, passes

ROOT = Path(alerting.__file__).parents[1]
FROM_PANES = [quantity for quantity in QUANTITIES.values() if quantity.source == "panes"]
NAMED = {
    *("error_rate", "avg_time", "p95_time", "full_success_rate", "fallback_share", "menus", "provider_error_rate", "api_error_rate"),
    *("api_p95_time", "external_api_error_rate", "rate_limited_share", "payment_failure_rate", "health_check_failure_rate"),
    *("queue_exhausted_rate", "poor_vitals_share", "feature_usage", "event_count", "security_signals", "cpu", "memory", "disk"),
    *("satisfaction_score", "retention_7d", "data_loss", "dead_letter_share", "feedback_count", "flush_age"),
}


def columns_of(view: str) -> set[str]:
    """Names of the columns of a view, from its SQL file."""
    folder = "typed_views" if (ROOT / "sql" / "typed_views" / f"{view}.sql").exists() else "views"
    return set(re.findall(r"^    (\w+) \S+.*COMMENT '", (ROOT / "sql" / folder / f"{view}.sql").read_text("utf-8"), re.MULTILINE))


def test_every_name_that_rules_may_need_is_there() -> None:
    """The seed's names, the escalation matrix's, and those of what else is measured."""
    assert set(QUANTITIES) == NAMED


@pytest.mark.parametrize("quantity", FROM_PANES, ids=lambda quantity: quantity.name)
def test_a_quantity_of_panes_speaks_of_labels_its_metric_has(quantity: Quantity) -> None:
    """Labels to select by and filters are labels of the metric, and no label is both: its share would be all or nothing."""
    assert quantity.metric is not None
    assert set(quantity.labels) <= set(quantity.metric.labels)
    filtered = {label for label, _ in (*quantity.numerator, *quantity.denominator)}
    assert filtered <= set(quantity.metric.labels) - set(quantity.labels)


@pytest.mark.parametrize("quantity", FROM_PANES, ids=lambda quantity: quantity.name)
def test_its_events_can_be_found_again_in_a_typed_view(quantity: Quantity) -> None:
    """The view is there, and has a column with the values where the quantity has any."""
    columns = columns_of(quantity.view)
    assert {"occurred_at", "kafka_partition", "kafka_offset", "bot_reasons"} <= columns
    assert bool(quantity.value_column) is (quantity.kind in {"mean", "quantile"})
    assert quantity.value_column in columns | {""}


@pytest.mark.parametrize(
    ("name", "labels", "in_numerator", "in_denominator"),
    [
        ("error_rate", {"provider": "ollama", "outcome": "failed"}, True, True),
        ("error_rate", {"provider": "ollama", "outcome": "degraded"}, False, True),
        ("full_success_rate", {"provider": "templates", "outcome": "degraded"}, False, True),
        ("full_success_rate", {"provider": "ollama", "outcome": "full"}, True, True),
        ("fallback_share", {"provider": "templates", "outcome": "degraded"}, True, True),
        ("queue_exhausted_rate", {"queue": "menus", "outcome": "exhausted"}, True, True),
        ("queue_exhausted_rate", {"queue": "menus", "outcome": "completed"}, False, True),
        ("queue_exhausted_rate", {"queue": "menus", "outcome": "started"}, False, False),
        ("poor_vitals_share", {"name": "LCP", "page": "/", "rating": "poor"}, True, True),
        ("poor_vitals_share", {"name": "LCP", "page": "/", "rating": "good"}, False, True),
        ("api_error_rate", {"service": "web", "route": "/", "status_class": "5xx"}, True, True),
        ("api_error_rate", {"service": "web", "route": "/", "status_class": "4xx"}, False, True),
        ("payment_failure_rate", {"outcome": "failed"}, True, True),
        ("health_check_failure_rate", {"check": "redis", "status": "fail"}, True, True),
        ("provider_error_rate", {"provider": "claude", "outcome": "timeout"}, True, True),
        ("provider_error_rate", {"provider": "claude", "outcome": "success"}, False, True),
        ("cpu", {"host": "a", "resource": "cpu"}, True, True),
        ("cpu", {"host": "a", "resource": "disk"}, True, False),
        ("security_signals", {"event_type": "security_signal", "service": "web"}, True, True),
        ("security_signals", {"event_type": "feedback", "service": "web"}, True, False),
    ],
)
def test_series_are_counted_where_they_belong(name: str, labels: dict[str, str], in_numerator: bool, in_denominator: bool) -> None:
    """A degraded menu is neither an error nor a full success, a job that has not ended is in no ratio, a 404 is no error of the server."""
    quantity = QUANTITIES[name]
    assert (passes(labels, quantity.numerator), passes(labels, quantity.denominator)) == (in_numerator, in_denominator)
