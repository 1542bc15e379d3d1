from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import alerting
from alerting.config.load import CONFIG_DIR, load_config
from pipeline.runtime.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped files."""
    return Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_shipped_files_hold_the_seeds_rule_and_the_watch_on_the_pipeline() -> None:
    """The seed's rule is there as the seed has it; every runbook it names exists; the contract's receivers are known."""
    config = load_config()
    rules = {rule.name: rule for rule in config.rules}
    menus = rules["Menu Generation Critical"]
    assert (menus.condition.text, menus.channels, menus.severity) == (
        "error_rate > 5% OR avg_time > 30s",
        ("slack-critical", "pagerduty"),
        "critical",
    )
    assert (menus.window_ms, menus.min_events) == (60_000, 20)
    assert (rules["pipeline_stalled"].severity, rules["pipeline_stalled"].watches_pipeline) == ("high", True)
    root = Path(alerting.__file__).parent.parent
    assert all((root / rule.runbook).is_file() for rule in config.rules)
    assert [step.targets for step in config.chains["critical"]][-1] == ("ceo",)
    assert config.chains["critical"][-1].after_ms == 300_000


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "rules/menu_generation.yaml",
            '"pagerduty"',
            '"pager"',
            "menu_generation.yaml, rule Menu Generation Critical: pager is not a receiver",
        ),
        (
            "rules/menu_generation.yaml",
            "error_rate",
            "eror_rate",
            "menu_generation.yaml: rule Menu Generation Critical, condition: column 1",
        ),
        (
            "rules/pipeline.yaml",
            "pipeline_stalled\n",
            "Menu Generation Critical\n",
            "pipeline.yaml: rule Menu Generation Critical is there twice",
        ),
        ("escalation.yaml", "[ceo]", "[cto]", "escalation.yaml, critical: cto is not a receiver"),
        ("escalation.yaml", "5m", "5 minutes", "escalation.yaml: critical, 1, after: 5 minutes is not a duration"),
        ("routes.yaml", "ceo: slack", "ceo: carrier-pigeon", "routes.yaml: "),
        ("routes.yaml", "receivers:", "receivers: [", "routes.yaml: "),
    ],
)
def test_a_mistake_is_named_with_its_file(folder: Path, file: str, old: str, new: str, says: str) -> None:
    """One line that says where, for whoever edits the files."""
    change(folder / file, old, new)
    with pytest.raises(ConfigurationError) as refused:
        load_config(folder)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_files_are_named(folder: Path) -> None:
    """A folder without rules, or without a file, is no configuration."""
    for path in (folder / "rules").iterdir():
        path.unlink()
    with pytest.raises(ConfigurationError, match="there are no rules in"):
        load_config(folder)
    (folder / "routes.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"cannot read .*routes\.yaml: No such file"):
        load_config(folder)
