"""What is measured: each metric's labels, unit, and which of its label values count as an error.

The same table feeds the fold, the views `error_rate` and `latency`, rules and dashboards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Unit = Literal["", "ms", "ms or score"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of series, one per combination of `labels`; an absent optional label is ''.

    `unit` is '' for what is only counted: sum 0 and no buckets. `error_rate` of a metric is the count where `error_label` has one of
    `error_values`, over the count of all; None means the metric has no errors.
    """

    name: str
    labels: tuple[str, ...]
    unit: Unit = ""
    error_label: str | None = None
    error_values: frozenset[str] = frozenset()


_ALL: Final = (
    Metric("menu_generation", ("provider", "outcome"), "ms", "outcome", frozenset({"failed"})),
    Metric("api_request", ("service", "route", "status_class"), "ms", "status_class", frozenset({"5xx"})),
    Metric("web_vital", ("name", "page", "rating"), "ms or score", "rating", frozenset({"poor"})),
    Metric("recipe_interaction", ("action",)),
    Metric("feature_exposure", ("flag", "variant")),
    Metric("events", ("event_type", "service")),
)

METRICS: Final[dict[str, Metric]] = {metric.name: metric for metric in _ALL}

#: Values of one label that keep their name, per pane and partition; the rest fold into OTHER.
LABEL_VALUES_KEPT: Final = 100
OTHER: Final = ":other"
