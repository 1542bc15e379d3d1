from __future__ import annotations

from pathlib import Path

import pytest

from alerting.config.load import load_config, with_rules
from pipeline.cli.backtest import backtest
from pipeline.runtime.errors import ConfigurationError

RULE = """\
rules:
  - name: Menu Generation Critical
    condition: error_rate > 10%
    channels: [{channel}]
    severity: critical
    owner: dev-team
    window: 1m
    runbook: alerting/config/runbooks/menu-generation.md
"""


def test_one_file_of_rules_takes_the_place_of_all(tmp_path: Path) -> None:
    """Its rules and no others; who is told, and when, stays as it is."""
    path = tmp_path / "other.yaml"
    path.write_text(RULE.format(channel="pagerduty"))
    current = load_config()
    other = with_rules(current, path)
    assert [(rule.name, rule.condition.text) for rule in other.rules] == [("Menu Generation Critical", "error_rate > 10%")]
    assert (other.policy, other.routing, other.receivers) == (current.policy, current.routing, current.receivers)


def test_rules_for_nobody_are_wrong_usage(tmp_path: Path) -> None:
    """File, line and column, and what was meant perhaps."""
    path = tmp_path / "other.yaml"
    path.write_text(RULE.format(channel="pagerdoty"))
    with pytest.raises(ConfigurationError, match=r"other.yaml:4:16: .*pagerdoty is not a receiver; did you mean pagerduty\?"):
        with_rules(load_config(), path)


@pytest.mark.parametrize(
    ("from_", "to", "says"),
    [
        ("2026-11-23T11:00", "2026-11-23T10:00", "--from must be before --to"),
        ("2100-01-01", "2100-01-02", "--from must be before --to, and in the past"),
        ("yesterday", "2026-11-23", "--from: 'yesterday' is not a time"),
    ],
)
def test_a_period_that_is_none_is_wrong_usage(from_: str, to: str, says: str) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigurationError, match=says):
        backtest(from_=from_, to=to)
