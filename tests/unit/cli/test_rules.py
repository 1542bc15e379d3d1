from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from alerting.config.load import CONFIG_DIR
from pipeline.cli.main import run
from pipeline.cli.rules import duration


def test_check_shows_the_shipped_rules_by_severity(capsys: pytest.CaptureFixture[str]) -> None:
    """Worst first, each with its condition, how it is judged and who is told; the last line says that all is well."""
    assert run(["rules", "check"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.isupper()] == ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
    shown = lines.index(next(line for line in lines if line.startswith("  Infrastructure")))
    assert lines[shown].endswith("  cpu > 80% OR memory > 85% OR disk > 90%")
    assert lines[shown + 1].strip() == "over 10m, by host -> slack-ops, pagerduty"
    down = lines.index(next(line for line in lines if line.startswith("  Menu Generation Down")))
    assert lines[down + 1].strip() == "over 1m, for 5m -> dev-team, pagerduty"
    assert lines[-1] == "ok: 21 rules, 11 receivers"
    assert max(map(len, lines)) <= 120


def test_check_tells_programs_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """A list of the rules with every default filled in and durations in ms."""
    assert run(["rules", "check", "--format", "json"]) == 0
    rules = {rule["name"]: rule for rule in json.loads(capsys.readouterr().out)}
    down = rules["Menu Generation Down"]
    assert (down["condition"], down["window_ms"], down["for_ms"], down["severity"]) == (
        "full_success_rate < 50%",
        60_000,
        300_000,
        "critical",
    )
    assert down["gates"] == {"min_events": 5, "min_events_of": {}, "min_errors": 5, "confidence": 0.95, "min_expected": 10}


def test_check_of_a_folder_with_a_mistake_is_two_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, the place first, and what may be meant."""
    folder = Path(shutil.copytree(CONFIG_DIR, tmp_path / "mine"))
    file = folder / "rules" / "infrastructure.yaml"
    file.write_text(file.read_text().replace("cpu > 80%", "cpus > 80%"))
    assert run(["rules", "check", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"telemetry: {file}:5:17: rule Infrastructure: cpus is not a quantity; did you mean cpu?\n"


@pytest.mark.parametrize(("ms", "written"), [(500, "500ms"), (90_000, "90s"), (120_000, "2m"), (7_200_000, "2h"), (604_800_000, "7d")])
def test_durations_are_shown_as_rule_files_write_them(ms: int, written: str) -> None:
    """In the largest unit that leaves no rest."""
    assert duration(ms) == written
