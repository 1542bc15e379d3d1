from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.console.incidents import Incidents
from schemas.alert import Alert, parse_alert

EXAMPLE = parse_alert((Path(__file__).parents[3] / "schemas/examples/alert/valid/whole.json").read_bytes())


def alert(number: int, **fields: Any) -> Alert:
    return EXAMPLE.model_copy(update={"transition_id": f"{number:064x}", "incident_key": "a" * 64, **fields})


def test_the_newest_transition_is_the_state() -> None:
    """Open while it fires, is acknowledged or has no data; known for ever, shown until it is over."""
    incidents = Incidents()
    for number, state in enumerate(("firing", "acknowledged", "no_data", "retro_fired")):
        incidents.add(alert(number, state=state))
        assert incidents.open["a" * 64].state == state
    incidents.add(alert(9, state="resolved"))
    assert incidents.open == {}
    assert incidents.knows("a" * 64)
    assert not incidents.knows("b" * 64)


def test_a_transition_that_is_repeated_brings_nothing_back() -> None:
    """Every record comes at least once, and open incidents again each day."""
    incidents = Incidents()
    for number, state in ((1, "firing"), (2, "resolved"), (1, "firing"), (1, "firing")):
        incidents.add(alert(number, state=state))
    assert incidents.open == {}


def test_a_record_that_cannot_be_read_is_nobodys_state() -> None:
    """Garbage, nothing, and an alert without its key: the others are read all the same."""
    incidents = Incidents()
    for value in (b"\xff", None, b"{}", EXAMPLE.model_copy(update={"state": "firing"}).model_dump_json().encode()):
        incidents.read(SimpleNamespace(value=value, topic="t", offset=0))
    assert list(incidents.open) == [EXAMPLE.incident_key]
    assert incidents.open[EXAMPLE.incident_key].summary == EXAMPLE.summary
