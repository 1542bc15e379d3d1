from __future__ import annotations

import pytest

from alerting.engine.document import DocumentError
from alerting.engine.rule import Gates, parse_rules

SEED = """
rules:
  - name: "Menu Generation Critical"
    condition: "error_rate > 5% OR avg_time > 30s"
    channels: ["slack-critical", "pagerduty"]
    severity: critical
    runbook: alerting/config/runbooks/menu-generation.md
"""


def changed(old: str, new: str) -> str:
    assert old in SEED
    return SEED.replace(old, new)


def with_line(line: str) -> str:
    return f"{SEED}    {line}\n"


def test_the_seeds_three_lines_make_a_rule() -> None:
    """Name, condition and channels are taken as the seed writes them; window and evidence have the contract's values."""
    (rule,) = parse_rules(SEED)
    assert (rule.name, rule.condition.text, rule.channels) == (
        "Menu Generation Critical",
        "error_rate > 5% OR avg_time > 30s",
        ("slack-critical", "pagerduty"),
    )
    assert (rule.window_ms, rule.for_ms, rule.keep_firing_for_ms, rule.no_data_after_ms) == (60_000, 0, 60_000, 600_000)
    assert rule.gates == Gates(min_events=20, min_errors=5, confidence=0.95, min_expected=10)
    assert (rule.by, rule.labels, rule.owner, rule.watches_pipeline) == ((), {}, "", False)


def test_everything_a_rule_may_say_is_read() -> None:
    """Durations have their unit, gates their numbers, labels and owner their names."""
    (rule,) = parse_rules(
        """
rules:
  - name: Hosts
    condition: cpu > 80%
    by: [host]
    channels: [slack-ops]
    severity: high
    owner: ops
    window: 10m
    for: 90s
    keep_firing_for: 30s
    no_data_after: 1d
    gates: {min_events: 3, min_errors: 2, confidence: 0.99, min_expected: 50, min_events_of: {cpu: 7}}
    labels: {area: infrastructure}
    runbook: https://example.org/hosts
    description: Machines.
"""
    )
    assert (rule.window_ms, rule.for_ms, rule.keep_firing_for_ms, rule.no_data_after_ms) == (600_000, 90_000, 30_000, 86_400_000)
    assert (rule.by, rule.labels, rule.owner) == (("host",), {"area": "infrastructure"}, "ops")
    assert (rule.gates.min_errors, rule.gates.confidence, rule.gates.min_expected) == (2, 0.99, 50)
    assert rule.min_events_for(rule.condition.comparisons[0]) == 7


def test_a_comparison_has_the_rules_window_or_its_own_and_is_read_where_that_is_known() -> None:
    """Up to an hour panes know, beyond it the warehouse, always for readings; what has no window has 0. Only panes are read back."""
    (rule,) = parse_rules(
        changed("error_rate > 5% OR avg_time > 30s", "error_rate > 5% OR avg_time[1h] > 30s OR retention_7d < 40% OR avg_time[2h] > 30s")
    )
    windows = [(rule.window_ms_of(comparison), rule.source_of(comparison)) for comparison in rule.condition.comparisons]
    assert windows == [(60_000, "panes"), (3_600_000, "panes"), (0, "warehouse"), (7_200_000, "warehouse")]
    assert rule.longest_window_ms == 3_600_000
    (readings,) = parse_rules(changed("error_rate > 5% OR avg_time > 30s", "retention_7d < 40%"))
    assert readings.longest_window_ms == 0


def test_a_rule_on_flush_age_watches_the_pipeline() -> None:
    """`flush_age` is judged by the clock."""
    (rule,) = parse_rules(changed("error_rate > 5% OR avg_time > 30s", "flush_age > 30s"))
    assert rule.watches_pipeline
    assert rule.longest_window_ms == 0


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        (changed("error_rate > 5%", "eror_rate > 5%"), "4:17", "eror_rate is not a quantity; did you mean error_rate?"),
        (changed("avg_time > 30s", "avg_time > 30%"), "4:49", "avg_time is a time"),
        (changed("severity: critical", "severity: urgent"), "6:15", "severity: urgent is not one of 'critical', 'high', 'medium' or 'low'"),
        (with_line("windw: 1m"), "8:5", "windw is not a key here; did you mean window?"),
        (with_line("gates: {min_event: 3}"), "8:13", "min_event is not a key here; did you mean min_events?"),
        (with_line("gates: {min_events: 0}"), "8:25", "min_events: Input should be greater than or equal to 1"),
        (with_line("gates: {min_events_of: {menus: 3}}"), "8:36", "menus is not in the condition; there are error_rate, avg_time"),
        (with_line("window: 60"), "8:13", "window: a duration is written with its unit"),
        (with_line("window: 1 minute"), "8:13", "window: 1 minute is not a duration"),
        (with_line("window: 15s"), "8:13", "a window is a multiple of 10s, at most 31d"),
        (with_line("window: 32d"), "8:13", "a window is a multiple of 10s, at most 31d"),
        (with_line("for: soon"), "8:10", "for: soon is not a duration"),
        (with_line("by: [provider, host]"), "8:20", "error_rate has no label host to judge by; there are provider"),
        (with_line("name: other"), "8:5", "name is there twice"),
        (changed("avg_time > 30s", "flush_age > 30s"), "4:16", "write two rules"),
        (changed("error_rate > 5% OR avg_time > 30s", "data_loss > 1%") + "    window: 2d\n", "4:16", "write it in brackets"),
        (changed("error_rate > 5% OR avg_time > 30s", "menus[2h] drop > 5%"), "4:16", "its window is at most 1h"),
        (changed('["slack-critical", "pagerduty"]', "[]"), "5:15", "channels: there is nothing in it"),
        (changed("    severity: critical\n", ""), "3:5", "severity is missing"),
        (changed('  - name: "Menu Generation Critical"\n', "  - \n"), "4:5", "name is missing"),
        (changed("rules:", "rulez:"), "2:1", "rulez is not a key here; did you mean rules?"),
        (changed("rules:", "rules: ["), "3:3", "not YAML: "),
        ("rules: []", "1:8", "rules: there is nothing in it"),
        ("[1]", "1:1", "a mapping is written as in {key: value}"),
    ],
)
def test_a_wrong_rule_file_is_refused_in_one_line(text: str, place: str, says: str) -> None:
    """Line and column are those of the file, the rest names rule and field and what may be meant."""
    with pytest.raises(DocumentError) as refused:
        parse_rules(text)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{place}: ")
    assert "\n" not in str(refused.value)


def test_the_rule_is_named_or_counted() -> None:
    """A mistake in one of several rules says in which."""
    with pytest.raises(DocumentError, match=r"^7:15: rule Menu Generation Critical: severity: "):
        parse_rules("# first\n" + changed("critical\n", "urgent\n"))
    with pytest.raises(DocumentError, match="rule number 1: name is missing"):
        parse_rules(changed('name: "Menu Generation Critical"', "owner: x"))


def test_a_place_in_a_condition_is_a_place_in_the_file() -> None:
    """However YAML writes the condition, the column is where the mistake stands."""
    text = changed('"error_rate > 5% OR avg_time > 30s"', ">\n      error_rate > 5%\n      OR avgtime > 30s")
    with pytest.raises(DocumentError, match=r"^6:10: rule Menu Generation Critical: avgtime is not a quantity"):
        parse_rules(text)


def test_a_rule_is_told_from_others_by_its_name() -> None:
    """Names are identities: rules can be kept in sets and as keys."""
    first, second = parse_rules(SEED)[0], parse_rules(with_line("window: 2m"))[0]
    assert hash(first) == hash(second)
    assert first != second
