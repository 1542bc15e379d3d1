from __future__ import annotations

from pathlib import Path

import pytest

import alerting
from alerting.config.load import load_config
from alerting.engine.rule import Rule
from schemas.alert import Severity

CONFIG = load_config()
RULES = {rule.name: rule for rule in CONFIG.rules}
ROOT = Path(alerting.__file__).parents[1]

#: The seed's rules: name, condition, channels.
SEED = [
    ("Menu Generation Critical", "error_rate > 5% OR avg_time > 30s", ("slack-critical", "pagerduty")),
    ("User Experience", "satisfaction_score < 4.0 OR retention_7d < 40%", ("slack-product", "email-team")),
    ("Infrastructure", "cpu > 80% OR memory > 85% OR disk > 90%", ("slack-ops", "pagerduty")),
]
#: The seed's escalation matrix: severity, row as it is written there, the rule that holds it, and what that has to compare.
MATRIX: list[tuple[Severity, str, str, str]] = [
    ("critical", "Menu generation down >5min", "Menu Generation Down", "full_success_rate < 50%"),
    ("critical", "Data loss detected", "Data Loss", "data_loss[15m] > 0.1%"),
    ("critical", "Security breach", "Security Breach", "security_signals > 0"),
    ("high", "Error rate >10%", "Error Rate High", "error_rate > 10%"),
    ("high", "Performance degradation >50%", "Performance Degradation", "p95_time[15m] degradation > 50%"),
    ("high", "Payment processing issues", "Payment Failures", "payment_failure_rate[15m] > 2%"),
    ("medium", "User satisfaction <3.5/5", "User Satisfaction Low", "satisfaction_score < 3.5"),
    ("medium", "Feature usage drop >30%", "Feature Usage Drop", "feature_usage[1h] drop > 30%"),
    ("medium", "External API rate limits", "External API Rate Limits", "rate_limited_share[15m] > 1%"),
    (
        "low",
        "Minor UI bugs",
        "Minor UI Bugs",
        'feedback_count{kind="ui_bug"}[24h] > 0 OR feedback_count{kind="bug"}[24h] > 0',
    ),
    (
        "low",
        "Non-critical feature requests",
        "Feature Requests",
        'feedback_count{kind="feature_request"}[24h] > 0 OR feedback_count{kind="idea"}[24h] > 0',
    ),
    ("low", "Documentation updates", "Documentation Updates", 'feedback_count{kind="documentation"}[24h] > 0'),
]
#: Who the matrix says is told, first to last, and the response time in minutes.
CHAINS: list[tuple[Severity, list[str], int]] = [
    ("critical", ["dev-team", "pagerduty", "ceo"], 5),
    ("high", ["dev-team", "slack-critical"], 15),
    ("medium", ["product-team", "slack-alerts"], 60),
    ("low", ["dev-team", "linear-tickets"], 1440),
]
#: What else wakes people up, or tells them.
OTHERS = {
    "Menu Generation Slow Burn": ("error_rate[1h] > 5%", "high"),
    "Fallback Share High": ("fallback_share[15m] > 20%", "medium"),
    "Poor Web Vitals": ("poor_vitals_share[1h] > 25%", "medium"),
    "data_absent": ("absent(event_count[10m])", "medium"),
    "pipeline_stalled": ("flush_age > 10s", "high"),
    "Dead Letters High": ("dead_letter_share[15m] > 1%", "high"),
}
RECEIVERS = {
    *("slack-critical", "slack-product", "slack-ops", "slack-alerts", "pagerduty"),
    *("email-team", "linear-tickets", "dev-team", "product-team", "ceo"),
}


@pytest.mark.parametrize(("name", "condition", "channels"), SEED)
def test_the_seeds_rules_are_there_literally(name: str, condition: str, channels: tuple[str, ...]) -> None:
    """Name, condition and channels of each are those of the seed."""
    assert (RULES[name].condition.text, RULES[name].channels) == (condition, channels)


def test_the_menus_rule_keeps_its_contract() -> None:
    """A window of a minute, twenty events, half a minute of keeping on, critical."""
    rule = RULES["Menu Generation Critical"]
    assert (rule.window_ms, rule.gates.min_events, rule.keep_firing_for_ms, rule.severity) == (60_000, 20, 30_000, "critical")


@pytest.mark.parametrize(("severity", "row", "name", "condition"), MATRIX)
def test_every_row_of_the_matrix_has_its_rule(severity: Severity, row: str, name: str, condition: str) -> None:
    """A rule of the row's severity with the row's condition, which tells one of those whom the matrix names at once."""
    rule = RULES[name]
    chain = next(names for of, names, _ in CHAINS if of == severity)
    assert (rule.severity, rule.condition.text) == (severity, condition), row
    assert set(rule.channels) <= set(chain)


def test_an_outage_of_menus_has_lasted_five_minutes_and_a_breach_stays_open_for_a_day() -> None:
    """`Menu generation down >5min` waits five minutes; a breach is not over because nothing more is heard of it."""
    assert RULES["Menu Generation Down"].for_ms == 300_000
    assert RULES["Security Breach"].keep_firing_for_ms == 86_400_000


@pytest.mark.parametrize(("severity", "chain", "response_minutes"), CHAINS)
def test_the_chains_are_those_of_the_matrix(severity: Severity, chain: list[str], response_minutes: int) -> None:
    """Each receiver of the matrix is told, in its order, and the response time is the matrix's; who is added comes last."""
    policy = CONFIG.policy.severities[severity]
    assert list(CONFIG.policy.targets[severity])[: len(chain)] == chain
    assert policy.response_time_ms == response_minutes * 60_000


def test_nothing_else_tells_people_than_what_is_listed_here() -> None:
    """A rule that nobody has listed here is one whose row nobody has thought of."""
    listed = {name for name, *_ in SEED} | {name for _, _, name, _ in MATRIX} | set(OTHERS)
    assert set(RULES) == listed
    assert {name: (RULES[name].condition.text, RULES[name].severity) for name in OTHERS} == OTHERS


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("Infrastructure", ("host",)),
        ("Feature Usage Drop", ("flag",)),
        ("External API Rate Limits", ("api",)),
        ("Poor Web Vitals", ("name", "page")),
        ("data_absent", ("event_type", "service")),
    ],
)
def test_what_goes_wrong_by_itself_is_an_incident_by_itself(name: str, by: tuple[str, ...]) -> None:
    """A host, a flag, an API, a page, a producer: one that is down must not hide behind the others, nor speak for them."""
    assert RULES[name].by == by


@pytest.mark.parametrize("rule", CONFIG.rules, ids=lambda rule: rule.name)
def test_every_rule_says_whose_it_is_and_what_to_do(rule: Rule) -> None:
    """An owner, a description of one line, an area to silence by, and a runbook that names the rule and has steps with SQL."""
    assert rule.owner in {"dev-team", "product-team", "ops"}
    assert rule.description.endswith(".")
    assert "\n" not in rule.description
    assert rule.labels.keys() == {"area"}
    text = (ROOT / rule.runbook).read_text("utf-8")
    assert rule.name in text.splitlines()[0]
    assert "\n1. " in text
    assert "`SELECT " in text


def test_every_name_of_the_seed_is_a_receiver_and_has_somebody_to_stand_in() -> None:
    """The ten names of the seed, and the watchdog that must not be told by anybody else."""
    assert set(CONFIG.receivers) == RECEIVERS | {"watchdog"}
    assert [name for name, receiver in CONFIG.receivers.items() if not receiver.failover] == ["watchdog"]
    assert {name: CONFIG.receivers[name].kind for name in ("pagerduty", "email-team", "linear-tickets", "watchdog")} == {
        "pagerduty": "pagerduty",
        "email-team": "email",
        "linear-tickets": "ticket",
        "watchdog": "webhook",
    }


def test_every_runbook_is_some_rules() -> None:
    """A page that no rule names is one that nobody finds at night."""
    pages = {path.name for path in (ROOT / "alerting/config/runbooks").iterdir()}
    assert {Path(rule.runbook).name for rule in CONFIG.rules} == pages
