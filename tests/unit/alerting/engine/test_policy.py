from __future__ import annotations

import pytest

from alerting.engine.document import DocumentError, parse_document
from alerting.engine.policy import parse_policy
from alerting.engine.routing import parse_routing
from tests.unit.alerting.desk import POLICY, ROUTING

HEAD = 'timezone: Europe/Paris\nbusiness_hours: {days: [mon], from: "09:00", to: "18:00"}\nseverities:\n'
OTHERS = "  high: {response_time: 1m}\n  medium: {response_time: 1m}\n  low: {response_time: 1m}\n"


def test_the_shipped_policy_has_the_response_times_and_chains_of_the_seed() -> None:
    """Targets by severity, in the order of their steps."""
    assert {severity: policy.response_time_ms // 60_000 for severity, policy in POLICY.severities.items()} == {
        "critical": 5, "high": 15, "medium": 60, "low": 1440,
    }  # fmt: skip
    assert POLICY.targets == {
        "critical": ("dev-team", "pagerduty", "ceo"),
        "high": ("dev-team", "slack-critical", "pagerduty"),
        "medium": ("product-team", "slack-alerts"),
        "low": ("dev-team", "linear-tickets"),
    }


def test_the_last_step_comes_at_the_response_time() -> None:
    """Of every severity that has later steps."""
    lasts = {severity: policy.steps[-1].after_ms for severity, policy in POLICY.severities.items() if len(policy.steps) > 1}
    assert lasts == {"critical": 300_000, "high": 900_000, "medium": 3_600_000}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "  critical: {response_time: 5}\n" + OTHERS, "4:29: critical: response_time: a duration is written with its unit"),
        (
            HEAD + "  critical: {response_time: 5m, steps: [{after: 1m, targets: []}]}\n" + OTHERS,
            "4:62: critical: targets: there is nothing in it",
        ),
        (
            HEAD + "  critical: {response_time: 5m, steps: [{after: 6m, targets: [a]}]}\n" + OTHERS,
            "4:41: critical: the last step comes after the response time",
        ),
        (
            HEAD + "  critical: {response_time: 5m, steps: [{after: 2m, targets: [a]}, {after: 1m, targets: [b]}]}\n" + OTHERS,
            "critical: steps come in the order of their times",
        ),
        (HEAD + '  critical: {response_time: 5m, digest: "09:00", hours: business}\n' + OTHERS, "critical: a digest comes at its time"),
        (HEAD + "  critical: {response_time: 5m, digest: 18:00}\n" + OTHERS, 'a time of the day is written in quotes, as in "09:00"'),
        (
            HEAD + "  critical: {response_time: 5m, hours: nights}\n" + OTHERS,
            "critical: hours: nights is not one of 'always' or 'business'",
        ),
        (HEAD + OTHERS, "critical is missing: every severity has its policy"),
        (HEAD.replace("Paris", "Pariss") + OTHERS, "Europe/Pariss is not a time zone"),
        (HEAD.replace('"18:00"', '"08:00"') + OTHERS, "business hours end after they begin"),
        (HEAD.replace("[mon]", "[]") + OTHERS, "2:24: days: there is nothing in it"),
        (HEAD + "  urgent: {response_time: 5m}\n" + OTHERS, "urgent"),
        ("severities: [", "not YAML"),
    ],
)
def test_a_wrong_escalation_file_is_refused_in_one_line(text: str, says: str) -> None:
    """The line names place, severity and field."""
    with pytest.raises(DocumentError) as refused:
        parse_policy(parse_document(text))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


GROUPS = "groups: {wait: 30s, interval: 5m, repeat: 4h}\n"


def test_the_shipped_routes_group_and_inhibit() -> None:
    """Wait 30 s, none for critical; interval 5 m, repeat 4 h; the rules they name are known."""
    groups = ROUTING.groups
    assert (groups.by, groups.wait_of("high"), groups.wait_of("critical")) == (("rule",), 30_000, 0)
    assert (groups.interval_of("low"), groups.interval_of("critical"), groups.repeat_ms) == (300_000, 30_000, 14_400_000)
    assert {"pipeline_stalled", "data_absent", "Menu Generation Down"} <= ROUTING.rule_names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("receivers: {}", "groups"),
        ("groups: {wait: 30, interval: 5m, repeat: 4h}", "wait: a duration is written with its unit"),
        ("groups: {wait: 30s, interval: 5m, repeat: 0s}", "repeat"),
        ("groups: {wait: 30s, interval: 5m, repeats: 4h}", "repeats is not a key here"),
        (GROUPS + "inhibit: [{source: {}, target: {rule: a}}]", "source"),
        (GROUPS + "inhibit: [{source: {rule: []}, target: {rule: a}}]", "rule"),
        (GROUPS + "inhibit: [{source: {rule: a}}]", "target is missing"),
    ],
)
def test_wrong_routes_are_refused_in_one_line(text: str, says: str) -> None:
    """The line names place and field."""
    with pytest.raises(DocumentError) as refused:
        parse_routing(parse_document(text))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
