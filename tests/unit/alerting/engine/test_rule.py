from __future__ import annotations

import pytest

from alerting.engine.rule import RuleError, parse_rules

SEED = """
rules:
  - name: "Menu Generation Critical"
    condition: "error_rate > 5% OR avg_time > 30s"
    channels: ["slack-critical", "pagerduty"]
    severity: critical
    runbook: alerting/config/runbooks/menu-generation.md
"""


def test_the_seeds_three_lines_make_a_rule() -> None:
    """Name, condition and channels are taken as the seed writes them; window and evidence have the contract's values."""
    (rule,) = parse_rules(SEED)
    assert (rule.name, rule.condition.text, rule.channels) == (
        "Menu Generation Critical",
        "error_rate > 5% OR avg_time > 30s",
        ("slack-critical", "pagerduty"),
    )
    assert (rule.window_ms, rule.min_events, rule.keep_firing_for_ms, rule.watches_pipeline) == (60_000, 20, 60_000, False)


def test_durations_are_read_with_their_unit() -> None:
    """Window and keep_firing_for are written as in 2m and 30s."""
    (rule,) = parse_rules(SEED + "    window: 2m\n    keep_firing_for: 30s\n")
    assert (rule.window_ms, rule.keep_firing_for_ms) == (120_000, 30_000)


def test_a_rule_on_flush_age_watches_the_pipeline() -> None:
    """`flush_age` is judged by the clock."""
    (rule,) = parse_rules(SEED.replace("error_rate > 5% OR avg_time > 30s", "flush_age > 30s"))
    assert rule.watches_pipeline


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("error_rate > 5%", "eror_rate > 5%"), "rule Menu Generation Critical, condition: column 1: eror_rate is not a quantity"),
        (("severity: critical", "severity: urgent"), "rule Menu Generation Critical, severity: "),
        (("severity: critical", "severity: critical\n    windw: 1m"), "rule Menu Generation Critical, windw: "),
        (("severity: critical", "severity: critical\n    window: 60"), "window: a duration is written with its unit"),
        (("severity: critical", "severity: critical\n    window: 15s"), "window is a multiple of 10s"),
        (("severity: critical", "severity: critical\n    window: 1 minute"), "window: 1 minute is not a duration"),
        (("avg_time > 30s", "flush_age > 30s"), "mixes flush_age"),
        (('["slack-critical", "pagerduty"]', "[]"), "rule Menu Generation Critical, channels: "),
        (('  - name: "Menu Generation Critical"\n', "  - \n"), "rule number 1, name: "),
        (("rules:", "rulez:"), "rules: "),
        (("rules:", "rules: ["), "not YAML: "),
    ],
)
def test_a_wrong_rule_file_is_refused_in_one_line(change: tuple[str, str], says: str) -> None:
    """The line names the rule and the field."""
    with pytest.raises(RuleError) as refused:
        parse_rules(SEED.replace(*change))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
