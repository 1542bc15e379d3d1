"""Judgements by hand: what a rule's judge could have said, without panes."""

from __future__ import annotations

from typing import Any

from alerting.engine.checks import Check
from alerting.engine.evidence import Evidence, Judgement
from alerting.engine.rule import Rule
from alerting.engine.series import WHOLE, Series
from schemas.alert import Verdict
from tests.unit.alerting.traffic import now_at


def a_rule(condition: str = "error_rate > 5%", for_: str = "0s", **more: Any) -> Rule:
    """`Errors`, on windows of 10 s unless `window` says otherwise."""
    document = {"name": "Errors", "channels": ["slack-critical"], "severity": "critical", "window": "10s", "runbook": "docs/errors.md"}
    return Rule.model_validate({**document, "condition": condition, "for": for_, **more})


def look(
    rule: Rule, verdict: Verdict, at_s: float, *, series: Series = WHOLE, held_by: str = "", window_to_s: float | None = None
) -> Judgement:
    """`rule` judged up to `at_s`, on the window that ends with the pane `at_s` lies in, or at `window_to_s`: 10 of 100 events count."""
    at_ms = now_at(at_s)
    window_to_ms = at_ms // 10_000 * 10_000 + 10_000 if window_to_s is None else now_at(window_to_s)
    comparison = rule.condition.comparisons[0]
    checks = (Check(held_by or "n", passed=not held_by, seen=100, needed=20, partitions=(3,) if held_by else ()),)
    evidence = Evidence(comparison, window_to_ms - rule.window_ms, window_to_ms, verdict, 0.1, 10, 100, None, checks)
    return Judgement(rule, series, verdict, window_to_ms, at_ms, window_to_ms, at_ms - 2_000, (0,) * 12, (evidence,), 0)
