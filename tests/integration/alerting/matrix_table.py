"""Every shipped rule: the events that make it fire, those that end it, the incidents that come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.integration.alerting.matrix_events import DISPLAY, FLAG, SENT_BY_DISPLAY, Event, event, exposure, menu, shown_recipe

#: What is sent in one second, beginning at this time, ms; bytes are no event.
Second = Callable[[int], Sequence[Event | bytes]]
Series = dict[str, str]
#: quiet: nobody complains of menus yet; unwell: everything but menus that fail; outage: these too; stalled: no worker.
Stage = Literal["quiet", "unwell", "outage", "stalled"]


def _nothing(_: int) -> Sequence[Event | bytes]:
    return ()


@dataclass(frozen=True, slots=True)
class Row:
    """`wrong` is sent each second from its stage on, `right` before and after. Nothing in both: the test does something instead.

    terms: the comparison that fires, one for each series. held_by: rules that may speak for it, so that it pages nobody itself.
    """

    rule: str
    stage: Stage
    terms: tuple[str, ...]
    wrong: Second = _nothing
    right: Second = _nothing
    series: tuple[Series, ...] = ({},)
    held_by: tuple[str, ...] = ()

    def series_of(self, labels: Series) -> tuple[tuple[str, str], ...]:
        """What of an alert's labels tells one series of the rule from another."""
        return tuple(sorted((name, labels[name]) for name in self.series[0]))


def _menus(count: int, outcome: str = "full", duration_ms: float = 500.0) -> Second:
    return lambda at_ms: [menu(at_ms + n, outcome, duration_ms) for n in range(count)]


def _hosts(cpu: float, memory: float, disk: float) -> Second:
    """Each of three hosts is short of another thing."""

    normal = {"cpu_ratio": 0.4, "memory_ratio": 0.5, "disk_ratio": 0.6}
    short = {"cpu-host": {"cpu_ratio": cpu}, "memory-host": {"memory_ratio": memory}, "disk-host": {"disk_ratio": disk}}

    def second(at_ms: int) -> Sequence[Event]:
        return [event(at_ms, "resource_usage", "host", None, host=host, **(normal | ratios)) for host, ratios in short.items()]

    return second


def _calls(status_code: int) -> Second:
    return lambda at_ms: [
        event(at_ms, "external_api_call", "menu-api", api="usda", status_code=code, duration_ms=30.5) for code in (200, status_code)
    ]


def _payments(outcome: str) -> Second:
    return lambda at_ms: [event(at_ms, "payment", "billing", outcome=one) for one in ("succeeded", outcome)]


def _vitals(value_ms: float, rating: str) -> Second:
    page = {"name": "LCP", "value": value_ms, "rating": rating, "page": "/menus"}
    return lambda at_ms: [event(at_ms + n, "web_vital", "web", None, **page) for n in range(2)]


def _ratings(stars: int) -> Second:
    return lambda at_ms: [event(at_ms + n, "satisfaction_rating", "web", rating=stars) for n in range(2)]


def _feedback(kind: str) -> Second:
    """One every five seconds."""
    return lambda at_ms: [event(at_ms, "feedback", "web", kind=kind)] if at_ms // 1_000 % 5 == 0 else []


_OUTAGES = ("Menu Generation Down", "Menu Generation Critical")
TABLE = (
    Row("User Experience", "quiet", ("retention_7d < 40%",)),  # its users are in the past, and come back there
    Row("Minor UI Bugs", "quiet", ('feedback_count{kind="bug"}[1m] > 0',), _feedback("bug")),
    Row("Feature Requests", "quiet", ('feedback_count{kind="feature_request"}[1m] > 0',), _feedback("feature_request")),
    Row("Documentation Updates", "quiet", ('feedback_count{kind="documentation"}[1m] > 0',), _feedback("documentation")),
    Row("Fallback Share High", "unwell", ("fallback_share[1m] > 20%",), _menus(9, "degraded"), _menus(3)),
    Row("Performance Degradation", "unwell", ("p95_time[1m] degradation > 50%",), _menus(3, "full", 5_000.0), _menus(3)),
    Row("Menu Generation Critical", "outage", ("error_rate > 5%",), _menus(3, "failed"), _menus(3)),
    Row("Menu Generation Down", "outage", ("full_success_rate < 50%",), _menus(12, "degraded"), _menus(3)),
    Row("Error Rate High", "outage", ("error_rate > 10%",), _menus(3, "failed"), _menus(3), held_by=_OUTAGES),
    Row("Menu Generation Slow Burn", "outage", ("error_rate[1m] > 5%",), _menus(3, "failed"), _menus(3), held_by=_OUTAGES),
    Row("Payment Failures", "unwell", ("payment_failure_rate[1m] > 2%",), _payments("failed"), _payments("succeeded")),
    Row(
        "Security Breach",
        "unwell",
        ("security_signals > 0",),
        lambda at_ms: [event(at_ms, "security_signal", "gateway", kind="login_burst")],
    ),
    Row(
        "Infrastructure",
        "unwell",
        ("cpu > 80%", "memory > 85%", "disk > 90%"),
        _hosts(0.9, 0.95, 0.97),
        _hosts(0.4, 0.5, 0.6),
        ({"host": "cpu-host"}, {"host": "memory-host"}, {"host": "disk-host"}),
    ),
    Row("External API Rate Limits", "unwell", ("rate_limited_share[1m] > 1%",), _calls(429), _calls(200), ({"api": "usda"},)),
    Row(
        "data_absent",
        "unwell",
        ("absent(event_count[1m])",),
        right=lambda at_ms: [shown_recipe(at_ms)],
        series=({"event_type": SENT_BY_DISPLAY, "service": DISPLAY},),
    ),
    Row("Data Loss", "unwell", ("data_loss[2m] > 0.1%",)),  # rows go from the warehouse
    Row("Dead Letters High", "unwell", ("dead_letter_share[1m] > 1%",), lambda _: [b"no event"]),
    Row("User Satisfaction Low", "unwell", ("satisfaction_score < 3.5",), _ratings(1), _ratings(5)),
    Row(
        "Feature Usage Drop",
        "unwell",
        ("feature_usage[1m] drop > 30%",),
        right=lambda at_ms: [exposure(at_ms)],
        series=({"flag": FLAG},),
    ),
    Row(
        "Poor Web Vitals",
        "unwell",
        ("poor_vitals_share[1m] > 25%",),
        _vitals(9_000.0, "poor"),
        _vitals(900.0, "good"),
        ({"name": "LCP", "page": "/menus"},),
    ),
    Row("pipeline_stalled", "stalled", ("flush_age > 10s",)),  # the worker is stopped
)
