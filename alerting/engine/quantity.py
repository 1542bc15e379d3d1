"""What a rule's condition can speak of: each name, what it is measured from, and in which unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from schemas.alert import Unit
from schemas.metrics import METRICS, Metric

QuantityKind = Literal["error_ratio", "share", "mean", "quantile", "count", "flush_age", "reading"]
#: Who knows the value: panes (and, for long windows, the warehouse), the warehouse alone, or the flushes of the pipeline itself.
Source = Literal["panes", "warehouse", "flushes"]
#: Label → the values that are meant; every label has to have one of its values, and no labels mean every series.
LabelFilter = tuple[tuple[str, frozenset[str]], ...]

#: The board holds an hour of panes: longer windows are read from the warehouse, which keeps 90 days.
LONGEST_PANE_WINDOW_MS: Final = 3_600_000
LONGEST_WINDOW_MS: Final = 31 * 86_400_000


@dataclass(frozen=True, slots=True)
class Quantity:
    """value = numerator / denominator over a window, of the series of `metric` that pass `denominator`.

    error_ratio, share: events that pass `numerator` too, over all; mean: sum of values over events; quantile: of the summed buckets;
    count: events. reading: what ClickHouse answers, once a minute. flush_age: how long ago the partition that has been silent longest
    last flushed; about the pipeline, so without metric or window.

    labels: those one can select and judge `by`; worse: the side on which usual times are left for bad ones.
    view, value_column: the typed view of the events, and the column with their values where there are any.
    longest_window_ms: 0 where the quantity has no window.
    """

    name: str
    kind: QuantityKind
    unit: Unit
    metric: Metric | None = None
    labels: tuple[str, ...] = ()
    numerator: LabelFilter = ()
    denominator: LabelFilter = ()
    quantile: float | None = None
    worse: Literal["higher", "lower"] = "higher"
    view: str = ""
    value_column: str = ""
    longest_window_ms: int = LONGEST_WINDOW_MS

    @property
    def source(self) -> Source:
        """Who knows its value over a window of at most an hour."""
        return "flushes" if self.kind == "flush_age" else "warehouse" if self.kind == "reading" else "panes"


def passes(labels: Mapping[str, str], wanted: LabelFilter) -> bool:
    """Whether a series with `labels` is meant by the filter."""
    return all(labels.get(name) in values for name, values in wanted)


def _is(label: str, *values: str) -> LabelFilter:
    return ((label, frozenset(values)),)


def _errors(name: str, metric_name: str, view: str) -> Quantity:
    metric = METRICS[metric_name]
    assert metric.error_label is not None
    total = _is(metric.error_label, *metric.total_values) if metric.total_values else ()
    labels = tuple(label for label in metric.labels if label != metric.error_label)
    return Quantity(name, "error_ratio", "ratio", metric, labels, _is(metric.error_label, *metric.error_values), total, view=view)


def _time(name: str, metric_name: str, view: str, value_column: str, quantile: float | None = None) -> Quantity:
    metric = METRICS[metric_name]
    kind: QuantityKind = "mean" if quantile is None else "quantile"
    return Quantity(name, kind, "ms", metric, metric.labels, quantile=quantile, view=view, value_column=value_column)


def _menu_share(name: str, outcome: str, worse: Literal["higher", "lower"]) -> Quantity:
    outcomes = _is("outcome", outcome)
    return Quantity(name, "share", "ratio", _MENUS, ("provider",), outcomes, worse=worse, view="menu_generated")


def _count(name: str, metric_name: str, view: str) -> Quantity:
    metric = METRICS[metric_name]
    return Quantity(name, "count", "count", metric, metric.labels, worse="lower", view=view)


def _resource(name: str) -> Quantity:
    of_it = _is("resource", name)
    metric = METRICS["resource_usage"]
    return Quantity(name, "mean", "ratio", metric, ("host",), denominator=of_it, view="resource_usage", value_column=f"{name}_ratio")


_MENUS: Final = METRICS["menu_generation"]

_ALL: Final = (
    _errors("error_rate", "menu_generation", "menu_generated"),
    _time("avg_time", "menu_generation", "menu_generated", "generation_time_ms"),
    _time("p95_time", "menu_generation", "menu_generated", "generation_time_ms", 0.95),
    # Of all that were asked for: a template behind an outage of every provider is no full success.
    _menu_share("full_success_rate", "full", "lower"),
    _menu_share("fallback_share", "degraded", "higher"),
    _count("menus", "menu_generation", "menu_generated"),
    _errors("provider_error_rate", "provider_attempt", "provider_attempt"),
    _errors("api_error_rate", "api_request", "api_request"),
    _time("api_p95_time", "api_request", "api_request", "duration_ms", 0.95),
    _errors("external_api_error_rate", "external_api_call", "external_api_call"),
    _errors("payment_failure_rate", "payment", "payment"),
    _errors("health_check_failure_rate", "health_check", "health_check"),
    _errors("queue_exhausted_rate", "queue_job", "queue_job"),
    _errors("poor_vitals_share", "web_vital", "web_vital"),
    _count("feature_usage", "feature_exposure", "feature_exposure"),
    _count("event_count", "events", "events"),
    Quantity(
        "security_signals", "count", "count", METRICS["events"], ("service",), (), _is("event_type", "security_signal"), view="events"
    ),
    _resource("cpu"),
    _resource("memory"),
    _resource("disk"),
    Quantity("satisfaction_score", "reading", "rating", worse="lower", view="satisfaction_rating", value_column="rating"),
    # The newest cohort whose seventh day is over: it has no window that could be chosen.
    Quantity("retention_7d", "reading", "ratio", worse="lower", view="user_retention_7d", longest_window_ms=0),
    Quantity("data_loss", "reading", "ratio", view="accepted_and_stored_at", longest_window_ms=86_400_000),
    Quantity("dead_letter_share", "reading", "ratio", view="dead_letters"),
    # Panes know a 429 as one of the 4xx: its share is read from the events.
    Quantity("rate_limited_share", "reading", "ratio", labels=("api",), view="external_api_call"),
    Quantity("feedback_count", "reading", "count", labels=("kind",), view="feedback"),
    Quantity("flush_age", "flush_age", "ms", longest_window_ms=0),
)

QUANTITIES: Final[dict[str, Quantity]] = {quantity.name: quantity for quantity in _ALL}
