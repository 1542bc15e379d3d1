from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from alerting.config.load import CONFIG_DIR, configured, load_config
from pipeline.runtime.errors import ConfigurationError
from pipeline.runtime.settings import Alerting, Settings, load_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped files."""
    return Path(shutil.copytree(CONFIG_DIR, tmp_path / "config"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def place_of(path: Path, mistake: str) -> str:
    """`line:column` of the first place where `mistake` stands in the file."""
    before = path.read_text().split(mistake, 1)[0]
    return f"{before.count(chr(10)) + 1}:{len(before) - (before.rfind(chr(10)) + 1) + 1}"


@pytest.mark.parametrize(
    ("file", "old", "new", "mistake", "says"),
    [
        (
            "rules/menu_generation.yaml",
            '"pagerduty"',
            '"pagerdutty"',
            '"pagerdutty"',
            "rule Menu Generation Critical: pagerdutty is not a receiver; did you mean pagerduty?",
        ),
        (
            "rules/menu_generation.yaml",
            "error_rate >",
            "eror_rate >",
            "eror_rate",
            "rule Menu Generation Critical: eror_rate is not a quantity; did you mean error_rate?",
        ),
        (
            "rules/pipeline.yaml",
            "> 0.1%",
            "> 0.1s",
            's"\n    channels: ["dev-team',
            "rule Data Loss: data_loss is a ratio: write its threshold in %",
        ),
        (
            "rules/pipeline.yaml",
            "pipeline_stalled\n",
            "Menu Generation Critical\n",
            "Menu Gen",
            "rule Menu Generation Critical: it is there twice",
        ),
        (
            "rules/pipeline.yaml",
            "by: [event_type, ",
            "by: [event_typ, ",
            "event_typ,",
            "event_count has no label event_typ to judge by; did you mean event_type?",
        ),
        (
            "rules/pipeline.yaml",
            "data-loss.md",
            "dataloss.md",
            "alerting/config/runbooks/dataloss",
            "rule Data Loss: there is no runbook alerting/config/runbooks/dataloss.md",
        ),
        (
            "rules/pipeline.yaml",
            "keep_firing_for: 10s",
            "keep_fring_for: 10s",
            "keep_fring",
            "rule pipeline_stalled: keep_fring_for is not a key here; did you mean keep_firing_for?",
        ),
        (
            "rules/pipeline.yaml",
            "keep_firing_for: 10s",
            "keep_firing_for: ten",
            "ten\n",
            "rule pipeline_stalled: keep_firing_for: ten is not a duration",
        ),
        ("rules/pipeline.yaml", "rules:", "rules: [", "- name", "not YAML: "),
        ("escalation.yaml", "[ceo]", "[coe]", "coe]", "critical: coe is not a receiver; did you mean ceo?"),
        ("escalation.yaml", "after: 5m", "after: 5 minutes", "5 minutes", "after: 5 minutes is not a duration"),
        ("routes.yaml", "ceo: {kind: slack", "ceo: {kind: carrier-pigeon", "carrier", "kind: carrier-pigeon is not one of 'slack'"),
        (
            "routes.yaml",
            "ceo: {kind: slack, failover: [pagerduty]",
            "ceo: {kind: slack, failover: pager",
            "pager}",
            "receiver ceo: pager is not a receiver; did you mean pagerduty?",
        ),
        (
            "routes.yaml",
            "failover: [pagerduty]",
            "failover: [slack-critical]",
            "slack-critical]",
            "receiver slack-critical: it cannot stand in for itself",
        ),
        ("routes.yaml", "receivers:", "recievers:", "recievers", "recievers is not a key here; did you mean receivers?"),
        (
            "routes.yaml",
            "rule: Menu Generation Down",
            "rule: Menus Down",
            "Menus Down",
            "inhibit: Menus Down is not a rule; did you mean Menu Generation Down?",
        ),
    ],
)
def test_a_mistake_is_named_with_file_line_and_column(folder: Path, file: str, old: str, new: str, mistake: str, says: str) -> None:
    """One line that says where, what, and what may be meant, for whoever edits the files."""
    change(folder / file, old, new)
    with pytest.raises(ConfigurationError) as refused:
        load_config(folder)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{folder / file}:{place_of(folder / file, mistake)}: ")
    assert "\n" not in str(refused.value)


def test_missing_files_are_named(folder: Path) -> None:
    """A folder without rules, or without a file, is no configuration."""
    for path in (folder / "rules").iterdir():
        path.unlink()
    with pytest.raises(ConfigurationError, match="there are no rules in"):
        load_config(folder)
    (folder / "routes.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"cannot read .*routes\.yaml: it is not UTF-8"):
        load_config(folder)
    (folder / "routes.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"cannot read .*routes\.yaml: No such file"):
        load_config(folder)


def test_the_settings_choose_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TELEMETRY_ALERTING__CONFIG_DIR is read in place of the shipped files, which are read when it is not set."""
    change(folder / "rules" / "feedback.yaml", "Feature Requests", "Wishes")
    monkeypatch.setenv("TELEMETRY_ALERTING__CONFIG_DIR", str(folder))
    own = {rule.name for rule in configured(load_settings(folder / "no.env")).rules}
    shipped = {rule.name for rule in configured(Settings(alerting=Alerting())).rules}
    assert own - shipped == {"Wishes"}
    assert shipped - own == {"Feature Requests"}


@pytest.mark.parametrize(("written", "folder"), [("", None), ("mine", Path("mine")), ("~/mine", Path.home() / "mine")])
def test_a_folder_may_be_in_the_home_directory_or_not_set(written: str, folder: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` says it as a shell would have read it; an empty value is none."""
    monkeypatch.setenv("TELEMETRY_ALERTING__CONFIG_DIR", written)
    assert load_settings(Path("no.env")).alerting.config_dir == folder


def test_a_runbook_may_lie_in_the_folder_or_be_a_link(folder: Path) -> None:
    """A folder of one's own names its runbooks by their path in it; what is a link is not looked for."""
    change(folder / "rules" / "pipeline.yaml", "alerting/config/runbooks/data-loss.md", "runbooks/data-loss.md")
    change(folder / "rules" / "pipeline.yaml", "alerting/config/runbooks/data-absent.md", "https://example.org/data-absent")
    runbooks = {rule.name: rule.runbook for rule in load_config(folder).rules}
    assert (runbooks["Data Loss"], runbooks["data_absent"]) == ("runbooks/data-loss.md", "https://example.org/data-absent")
