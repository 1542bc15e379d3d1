"""What is measured: each metric's labels, unit, and which of its label values count as an error.

The same table feeds the fold, the views `error_rate` and `latency`, rules and dashboards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["", "ms", "ms or score", "rating", "score", "ratio"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of series, one per combination of `labels`; an absent optional label is ''.

    `unit` is '' for what is only counted: sum 0 and no buckets. Of a metric with a unit, an event whose value is absent is counted
    too, but is in no bucket. `error_rate` of a metric is the count where `error_label` has one of `error_values`, over the count
    where it has one of `total_values` (empty: over all); without an `error_label` the metric has no errors. What bots do is in it only
    where `counts_bots`: of what services say of themselves, it does not matter who asked them.
    """

    name: str
    labels: tuple[str, ...]
    unit: Unit = ""
    error_label: str | None = None
    error_values: frozenset[str] = frozenset()
    total_values: frozenset[str] = frozenset()
    counts_bots: bool = False

    def is_error(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is in the numerator of the error rate."""
        return self.error_label is not None and labels.get(self.error_label) in self.error_values

    def is_in_total(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is in the denominator of the error rate."""
        return self.error_label is not None and (not self.total_values or labels.get(self.error_label) in self.total_values)


_FAILED: Final = frozenset({"failed"})
_SERVER_ERRORS: Final = frozenset({"5xx"})

_ALL: Final = (
    Metric("menu_generation", ("provider", "outcome"), "ms", "outcome", _FAILED),
    Metric(
        "provider_attempt",
        ("provider", "outcome"),
        "ms",
        "outcome",
        frozenset({"error", "timeout", "breaker_open", "denied"}),
        counts_bots=True,
    ),
    Metric("api_request", ("service", "route", "status_class"), "ms", "status_class", _SERVER_ERRORS, counts_bots=True),
    Metric("external_api_call", ("api", "status_class"), "ms", "status_class", _SERVER_ERRORS, counts_bots=True),
    Metric("feature_performance", ("flag", "variant"), "ms"),
    Metric("web_vital", ("name", "page", "rating"), "ms or score", "rating", frozenset({"poor"})),
    Metric("payment", ("outcome",), "", "outcome", _FAILED),
    Metric("health_check", ("check", "status"), "ms", "status", frozenset({"fail"}), counts_bots=True),
    # A job that is started or tried again has not ended: it is in neither part of the ratio.
    Metric(
        "queue_job",
        ("queue", "outcome"),
        "ms",
        "outcome",
        frozenset({"exhausted"}),
        frozenset({"exhausted", "completed"}),
        counts_bots=True,
    ),
    Metric("recipe_interaction", ("action",)),
    Metric("feature_exposure", ("flag", "variant")),
    Metric("satisfaction_rating", (), "rating"),
    Metric("nps_response", (), "score"),
    Metric("nutrition_accuracy", ("provider",), "ratio"),
    Metric("resource_usage", ("host", "resource"), "ratio", counts_bots=True),
    Metric("events", ("event_type", "service"), counts_bots=True),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ALL}

#: Values of one label that keep their name, per pane and partition; the rest fold into OTHER.
LABEL_VALUES_KEPT: Final = 100
OTHER: Final = ":other"
