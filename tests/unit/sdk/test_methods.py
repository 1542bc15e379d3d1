from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

from pipeline.sdk import fields
from pipeline.sdk.methods import EventMethods
from schemas.event import EVENT_TYPES

#: Said by the gateway itself, in its own process.
NOT_FOR_SERVICES = {"accepted_count"}
ABOUT = {"user_id", "session_id", "trace", "flags", "occurred_at"}


class Recorded(EventMethods):
    """What the methods pass on."""

    def __init__(self) -> None:
        self.captured: list[tuple[str, dict[str, object]]] = []

    def _capture(self, event_type: str, fields: dict[str, object]) -> None:
        self.captured.append((event_type, fields))


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES.keys() - NOT_FOR_SERVICES))
def test_every_event_type_has_its_method(event_type: str) -> None:
    """A method named after the type captures that type with what it was given."""
    recorded = Recorded()
    getattr(recorded, event_type)(anything=1)
    assert recorded.captured == [(event_type, {"anything": 1})]


@pytest.mark.parametrize("event_type", sorted(EVENT_TYPES.keys() - NOT_FOR_SERVICES))
def test_a_method_takes_the_properties_of_its_event(event_type: str) -> None:
    """The annotated fields are the event's properties, as required or optional as there, and what can be said about any event."""
    properties = get_type_hints(EVENT_TYPES[event_type])["properties"]
    name = getattr(EventMethods, event_type).__annotations__["of"].removeprefix("Unpack[fields.").removesuffix("]")
    taken = getattr(fields, name)
    assert taken.__required_keys__ == properties.__required_keys__
    assert taken.__optional_keys__ == properties.__optional_keys__ | ABOUT
    assert {key: taken.__annotations__[key] for key in properties.__annotations__} == properties.__annotations__


SNIPPET = """
from datetime import datetime, UTC
from pipeline.sdk import Telemetry
t = Telemetry("http://gateway:8100", service="menu-api", environment="production")
t.menu_generated(recipe_count=5, restrictions=["vegan"], generation_time_ms=1240.5, outcome="full", provider=None, user_id="u-42")
t.recipe_view(recipe_id="r-1", session_id="s", occurred_at=datetime.now(UTC), flags={"f": "B"}, trace={"trace_id": "ab"})
t.user_signed_up()
t.menu_generated(recipeCount=5, restrictions=[], generation_time_ms=1.0, outcome="full")  # wrong: name
t.menu_generated(recipe_count="5", restrictions=[], generation_time_ms=1.0, outcome="full")  # wrong: type
t.menu_generated(recipe_count=5, restrictions=[], generation_time_ms=1.0, outcome="success")  # wrong: value
t.menu_generated(recipe_count=5, restrictions=[], outcome="full")  # wrong: missing
t.recipe_view(recipe_id="r-1", user=42)  # wrong: no such field
t.recipe_view(recipe_id="r-1", user_id=42)  # wrong: type of what is about any event
t.menus_generated()  # wrong: no such event
async def attempts() -> None:
    with t.attempt("ollama", position=0, user_id="u") as attempt:
        attempt.outcome = "denied"
    async with t.attempt("ollama") as attempt:
        attempt.outcome = "refused"  # wrong: no such outcome
    with t.attempt("ollama", position="first"):  # wrong: type
        pass
"""


def test_a_type_checker_refuses_what_is_wrong(tmp_path: Path) -> None:
    """Of a file of right and wrong calls, mypy complains about exactly the wrong ones."""
    snippet, config = tmp_path / "snippet.py", tmp_path / "mypy.ini"
    snippet.write_text(SNIPPET)
    config.write_text("[mypy]\nstrict = true\n[mypy-pydantic.*,pydantic_core.*]\nfollow_imports = skip\n")  # reading pydantic takes long
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(config),
        "--cache-dir",
        "/dev/null",
        "--follow-imports",
        "silent",
        str(snippet),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    complained = {int(line.split(":")[1]) for line in answer.stdout.splitlines() if ": error: " in line}
    wrong = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if "# wrong" in line}
    assert complained == wrong, answer.stdout + answer.stderr
