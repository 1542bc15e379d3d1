from __future__ import annotations

from schemas.metrics import METRICS

#: The contract's table: metric → labels, unit, the error label and its values, and those that the rate is of where that is not all.
CONTRACT = {
    "menu_generation": ("provider outcome", "ms", "outcome", "failed", ""),
    "provider_attempt": ("provider outcome", "ms", "outcome", "error timeout breaker_open denied", ""),
    "api_request": ("service route status_class", "ms", "status_class", "5xx", ""),
    "external_api_call": ("api status_class", "ms", "status_class", "5xx", ""),
    "feature_performance": ("flag variant", "ms", None, "", ""),
    "web_vital": ("name page rating", "ms or score", "rating", "poor", ""),
    "payment": ("outcome", "", "outcome", "failed", ""),
    "health_check": ("check status", "ms", "status", "fail", ""),
    "queue_job": ("queue outcome", "ms", "outcome", "exhausted", "exhausted completed"),
    "recipe_interaction": ("action", "", None, "", ""),
    "feature_exposure": ("flag variant", "", None, "", ""),
    "satisfaction_rating": ("", "rating", None, "", ""),
    "nps_response": ("", "score", None, "", ""),
    "nutrition_accuracy": ("provider", "ratio", None, "", ""),
    "resource_usage": ("host resource", "ratio", None, "", ""),
    "events": ("event_type service", "", None, "", ""),
}


def test_metrics_are_those_of_the_contract() -> None:
    """Names, labels in order, units, and what counts as an error of what."""
    found = {m.name: (" ".join(m.labels), m.unit, m.error_label, set(m.error_values), set(m.total_values)) for m in METRICS.values()}
    assert found == {name: (*row[:3], set(row[3].split()), set(row[4].split())) for name, row in CONTRACT.items()}


def test_errors_are_part_of_the_total() -> None:
    """A ratio is between 0 and 1: whatever is in the numerator is in the denominator."""
    for metric in METRICS.values():
        for value in (*metric.error_values, "anything else"):
            labels = {metric.error_label or "": value}
            assert metric.is_in_total(labels) >= metric.is_error(labels)
            assert metric.is_error(labels) == (value in metric.error_values)
        assert not metric.total_values or metric.error_values <= metric.total_values


def test_jobs_that_have_not_ended_are_in_neither_part() -> None:
    """Of queue_job exhausted counts against exhausted and completed; started and retried do not."""
    job = METRICS["queue_job"]
    judged = {o: (job.is_error({"outcome": o}), job.is_in_total({"outcome": o})) for o in ("started", "retried", "completed", "exhausted")}
    assert judged == {"started": (False, False), "retried": (False, False), "completed": (False, True), "exhausted": (True, True)}
