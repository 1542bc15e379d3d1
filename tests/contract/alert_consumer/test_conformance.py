from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import schemas
from schemas.conformance import check, main
from schemas.scenarios import Scenario, scenarios

HERE = Path(__file__).parent
PYTHON = [sys.executable, "-I", "-S"]  # begins fast
SCENARIOS = {scenario.name: scenario for scenario in scenarios()}
JSON = Path(schemas.__file__).parent / "generated" / "json"
VALIDATORS = {topic: Draft202012Validator(json.loads((JSON / f"{topic}.json").read_bytes())) for topic in ("alerts.v1", "escalations.v1")}


def careless(wrong: str) -> list[str]:
    return [*PYTHON, str(HERE / "careless.py"), wrong]


def test_a_consumer_written_from_the_schema_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Forty lines that know nothing but the JSON Schemas keep every promise."""
    consumer = HERE / "consumer.py"
    assert len(consumer.read_text("utf-8").splitlines()) <= 40
    assert main(["--", *PYTHON, str(consumer)]) == 0
    assert capsys.readouterr().out.count(": ok\n") == len(SCENARIOS)


@pytest.mark.parametrize(
    ("wrong", "scenario"),
    [
        ("no ids", "duplicates"),
        ("no ids", "many at once"),
        ("only the newest time", "a transition again, later"),
        ("needs the alert first", "topics apart"),
        ("one incident", "plain"),
        ("strict", "unknown fields"),
        ("nobody", "fields missing"),
        ("known states", "unknown states"),
        ("tells all", "told with its group"),
        ("needs the beginning", "a late start"),
        ("exits", "plain"),
        ("talks", "plain"),
    ],
)
def test_a_careless_consumer_is_told_what_it_breaks(wrong: str, scenario: str) -> None:
    """Each scenario fails for those who do what it is about."""
    assert check(careless(wrong), SCENARIOS[scenario]) is not None


def test_the_answer_says_which_promise_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """The scenario, its promise and the incident, and exit 1."""
    assert main(["--", *careless("known states")]) == 1
    said = capsys.readouterr()
    assert "unknown states: what a reader does not know is not over, and pages nobody\n  open[" in said.out
    assert 'is missing, expected {"state": "under_observation", "severity": "critical"}' in said.out
    assert said.err == f"schemas.conformance: 1 of {len(SCENARIOS)} promises are broken\n"


def test_a_command_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and one line."""
    assert main(["--", str(HERE / "no-such-consumer")]) == 2
    assert capsys.readouterr().err.endswith("no-such-consumer: No such file or directory\n")


@pytest.mark.parametrize(
    "scenario", [one for one in scenarios() if one.name not in ("unknown states", "fields missing")], ids=lambda one: one.name
)
def test_what_is_played_is_what_the_schemas_say(scenario: Scenario) -> None:
    """Records of this version, and of later ones that only add fields, are valid."""
    for record in scenario.records:
        VALIDATORS[record.topic].validate(record.value)
