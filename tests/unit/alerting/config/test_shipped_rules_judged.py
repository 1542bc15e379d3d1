from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, log2

import pytest

from alerting.config.load import load_config
from alerting.engine.judge import Judge
from alerting.engine.questions import WEEK
from alerting.engine.readings import Question, answer
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.alert import Verdict
from schemas.pane import PANE_MS, Flush, Pane
from schemas.timestamps import from_ms
from tests.unit.alerting.traffic import T0_MS

RULES = {rule.name: rule for rule in load_config().rules}
HOUR_MS = 3_600_000
NOW_MS = T0_MS + 2 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Feed:
    """`count` events in every pane of an hour, of `events` two, each with `value`; none in the last `silent_panes`."""

    metric: str
    labels: dict[str, str]
    count: int
    value: float = 0.0
    silent_panes: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """A world, the series that is looked at, and what the rule has to say of it. `answers`: labels, numerator, denominator by quantity."""

    rule: str
    verdict: Verdict
    feeds: list[Feed] = field(default_factory=list)
    answers: dict[str, tuple[dict[str, str], float, float]] = field(default_factory=dict)
    usual: float | None = None
    series: Series = ()


def menus(full: int, degraded: int, failed: int, each_ms: float = 1_000.0) -> list[Feed]:
    outcomes = {"full": full, "degraded": degraded, "failed": failed}
    return [Feed("menu_generation", {"provider": "ollama", "outcome": o}, n, each_ms) for o, n in outcomes.items() if n]


def host(cpu: float, memory: float, disk: float) -> list[Feed]:
    used = {"cpu": cpu, "memory": memory, "disk": disk}
    return [Feed("resource_usage", {"host": "a", "resource": resource}, 1, value) for resource, value in used.items()]


def vitals(good: int, poor: int) -> list[Feed]:
    return [Feed("web_vital", {"name": "LCP", "page": "/", "rating": rating}, n) for rating, n in (("good", good), ("poor", poor))]


def payments(succeeded: int, failed: int) -> list[Feed]:
    return [Feed("payment", {"outcome": outcome}, n) for outcome, n in (("succeeded", succeeded), ("failed", failed)) if n]


def exposures(count: int) -> list[Feed]:
    return [Feed("feature_exposure", {"flag": "new-menu", "variant": "on"}, count)]


def sent(event_type: str, count: int, silent_panes: int = 0) -> list[Feed]:
    return [Feed("events", {"event_type": event_type, "service": "web"}, count, silent_panes=silent_panes)]


def feedback(rule: str, kind: str) -> Iterator[Case]:
    question = f'feedback_count{{kind="{kind}"}}'
    yield Case(rule, "true", answers={question: ({}, 1, 1)})
    yield Case(rule, "false", answers={question: ({}, 0, 0)})


PAGE, HOST, FLAG, API = (("name", "LCP"), ("page", "/")), (("host", "a"),), (("flag", "new-menu"),), (("api", "usda"),)
SENDER = (("event_type", "menu_generated"), ("service", "web"))
CASES = [
    Case("Menu Generation Critical", "true", menus(80, 0, 20)),
    Case("Menu Generation Critical", "true", menus(100, 0, 0, each_ms=31_000.0)),
    Case("Menu Generation Critical", "false", menus(100, 0, 2, each_ms=29_000.0)),
    Case("Menu Generation Down", "true", menus(2, 98, 0)),
    Case("Menu Generation Down", "false", menus(60, 40, 0)),
    Case("Menu Generation Down", "true", menus(0, 1, 0)),
    Case("Error Rate High", "true", menus(80, 0, 20)),
    Case("Error Rate High", "false", menus(92, 0, 8)),
    Case("Performance Degradation", "true", menus(100, 0, 0, each_ms=4_000.0), usual=2_000.0),
    Case("Performance Degradation", "false", menus(100, 0, 0, each_ms=2_500.0), usual=2_000.0),
    Case("Performance Degradation", "unknown", menus(100, 0, 0, each_ms=4_000.0)),
    Case("Menu Generation Slow Burn", "true", menus(9, 0, 1)),
    Case("Menu Generation Slow Burn", "false", menus(49, 0, 1)),
    Case("Fallback Share High", "true", menus(70, 30, 0)),
    Case("Fallback Share High", "false", menus(90, 10, 0)),
    Case("User Experience", "true", answers={"satisfaction_score": ({}, 380, 100), "retention_7d": ({}, 500, 1_000)}),
    Case("User Experience", "true", answers={"satisfaction_score": ({}, 450, 100), "retention_7d": ({}, 300, 1_000)}),
    Case("User Experience", "false", answers={"satisfaction_score": ({}, 450, 100), "retention_7d": ({}, 500, 1_000)}),
    Case("User Experience", "unknown", answers={"satisfaction_score": ({}, 87, 29), "retention_7d": ({}, 9, 99)}),
    Case("User Satisfaction Low", "true", answers={"satisfaction_score": ({}, 340, 100)}),
    Case("User Satisfaction Low", "false", answers={"satisfaction_score": ({}, 360, 100)}),
    Case("Feature Usage Drop", "true", exposures(1), usual=1_000.0, series=FLAG),
    Case("Feature Usage Drop", "false", exposures(3), usual=1_000.0, series=FLAG),
    Case("Feature Usage Drop", "unknown", exposures(1), series=FLAG),
    Case("Poor Web Vitals", "true", vitals(5, 5), series=PAGE),
    Case("Poor Web Vitals", "false", vitals(9, 1), series=PAGE),
    Case("Infrastructure", "true", host(0.81, 0.5, 0.5), series=HOST),
    Case("Infrastructure", "true", host(0.5, 0.86, 0.5), series=HOST),
    Case("Infrastructure", "true", host(0.5, 0.5, 0.91), series=HOST),
    Case("Infrastructure", "false", host(0.79, 0.84, 0.89), series=HOST),
    Case("External API Rate Limits", "true", answers={"rate_limited_share": ({"api": "usda"}, 30, 1_000)}, series=API),
    Case("External API Rate Limits", "false", answers={"rate_limited_share": ({"api": "usda"}, 5, 1_000)}, series=API),
    Case("Payment Failures", "true", payments(90, 10)),
    Case("Payment Failures", "false", payments(100, 1)),
    Case("Security Breach", "true", sent("security_signal", 1)),
    Case("Security Breach", "false", sent("feedback", 1)),
    Case("data_absent", "true", sent("menu_generated", 1, silent_panes=60), series=SENDER),
    Case("data_absent", "false", sent("menu_generated", 1, silent_panes=59), series=SENDER),
    Case("Data Loss", "true", answers={"data_loss": ({}, 2, 1_000)}),
    Case("Data Loss", "false", answers={"data_loss": ({}, 1, 1_001)}),
    Case("Dead Letters High", "true", answers={"dead_letter_share": ({}, 30, 1_000)}),
    Case("Dead Letters High", "false", answers={"dead_letter_share": ({}, 5, 1_000)}),
    *feedback("Minor UI Bugs", "ui_bug"),
    *feedback("Minor UI Bugs", "bug"),
    *feedback("Feature Requests", "feature_request"),
    *feedback("Feature Requests", "idea"),
    *feedback("Documentation Updates", "documentation"),
]


def panes_of(feed: Feed) -> Iterator[Pane]:
    bucket = ceil(log2(feed.value) * 32) - 1 if feed.value else -32768
    hours = 2 if feed.metric == "events" else 1  # absence looks an hour further back
    for start in range(NOW_MS - hours * HOUR_MS, NOW_MS - feed.silent_panes * PANE_MS, PANE_MS):
        yield Pane(
            metric=feed.metric,
            labels=feed.labels,
            start=from_ms(start),
            count=feed.count,
            sum=round(feed.count * feed.value * 1_000_000),
            buckets={bucket: feed.count},
            last_offset=1,
            version=2,
        )


def rows_for(question: Question, case: Case) -> list[dict[str, object]]:
    """What ClickHouse answers: four weeks of what is usual, the value of the case, or zeros."""
    if question.question_id.startswith("usual "):
        weeks = range(1, 5) if case.usual is not None else ()
        return [
            {"labels": {**dict(case.series), WEEK: str(week)}, "numerator": case.usual, "denominator": 1, "value": case.usual}
            for week in weeks
        ]
    asked = question.question_id.split(" over ")[0].split(" by ")[0]
    labels, numerator, denominator = case.answers.get(asked, ({}, 0.0, 0.0))
    value = numerator / denominator if denominator else None
    return [{"labels": labels, "numerator": numerator, "denominator": denominator, "value": value}]


def verdict_of(rule: Rule, case: Case) -> Verdict:
    """What the judge makes of the case's world, one partition, complete up to now."""
    judge = Judge([rule], partitions=1)
    panes = [pane for feed in case.feeds for pane in panes_of(feed)]
    everything = Flush(source_partition=0, last_offset=1, watermark=None, caught_up_at=from_ms(NOW_MS + 2_000), panes=panes)
    judge.remember(everything, NOW_MS + 2_000)
    said = [
        judgement.verdict
        for question in judge.questions(NOW_MS)
        for judgement in judge.reading(answer(question, rows_for(question, case), NOW_MS))
        if judgement.series == case.series
    ]
    return said[-1] if said else judge.look(rule, case.series, NOW_MS, NOW_MS).verdict


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.verdict}")
def test_a_shipped_rule_says_what_its_row_says(case: Case) -> None:
    """True beyond its threshold, false below it, unknown without usual times or with too few users: thresholds, units and gates fit."""
    assert verdict_of(RULES[case.rule], case) == case.verdict


def test_every_rule_is_seen_true_and_false() -> None:
    """Of every shipped rule that is judged on events there is a world that fires it, and one that ends it."""
    seen = {(case.rule, case.verdict) for case in CASES}
    judged = [rule.name for rule in RULES.values() if not rule.watches_pipeline]
    assert {(name, verdict) for name in judged for verdict in ("true", "false")} <= seen
