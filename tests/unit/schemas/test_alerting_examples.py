from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import schemas
from schemas.alert import parse_alert
from schemas.command import command_key, parse_command
from schemas.decision import parse_decision
from schemas.delivery import parse_delivery
from schemas.escalation import parse_escalation

EXAMPLES = Path(schemas.__file__).parent / "examples"
PARSERS: dict[str, Callable[[bytes], BaseModel]] = {
    "alert": parse_alert,
    "decision": parse_decision,
    "escalation": parse_escalation,
    "delivery": parse_delivery,
    "command": parse_command,
}


def examples(kind: str, verdict: str) -> list[Path]:
    found = sorted((EXAMPLES / kind / verdict).glob("*.json"))
    assert found, f"no {verdict} examples of {kind}"
    return found


@pytest.mark.parametrize("kind", PARSERS)
def test_valid_examples_survive_a_round_trip(kind: str) -> None:
    """Every valid example is read, and written again it says the same in every field the version knows."""
    for path in examples(kind, "valid"):
        original = json.loads(path.read_bytes())
        written = json.loads(PARSERS[kind](path.read_bytes()).model_dump_json())
        assert written == {name: value for name, value in original.items() if name in written}, path.name
        assert set(written) <= set(original), path.name


@pytest.mark.parametrize("kind", PARSERS)
def test_invalid_examples_are_refused(kind: str) -> None:
    """Every invalid example is refused with a validation error."""
    for path in examples(kind, "invalid"):
        with pytest.raises(ValidationError):
            PARSERS[kind](path.read_bytes())


def test_commands_are_keyed_by_what_they_are_about() -> None:
    """A command on an incident is keyed by the incident, a command on a silence by the silence."""
    about = dict.fromkeys(("ack", "unack", "reassign", "snooze"), "incident_key")
    about |= dict.fromkeys(("silence", "silence-of-one-host", "unsilence"), "silence_id")
    documents = {path.stem: path.read_bytes() for path in examples("command", "valid")}
    assert {name: command_key(parse_command(text)) for name, text in documents.items()} == {
        name: json.loads(documents[name])[field] for name, field in about.items()
    }
