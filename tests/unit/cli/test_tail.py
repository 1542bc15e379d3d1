from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console

from pipeline.cli.main import run
from pipeline.cli.tail_screen import _LINES_PER_S, _Terminal
from pipeline.cli.tailing import Pace, Seen, Wanted, document_of, line_of, seen_in
from schemas.dead_letter import DeadLetter
from schemas.topics import DLQ, EVENTS

AT_MS = 1_795_000_000_123  # 2026-11-18T11:06:40.123Z
EVENT: dict[str, Any] = {
    "event_id": "01980f3c-7d2a-7c3e-8f00-0123456789ab",
    "event_type": "menu_generated",
    "schema_version": 1,
    "occurred_at": "2026-11-18T11:06:39.000Z",
    "source": {"service": "menu-api", "environment": "production"},
    "user_id": "u-42",
    "properties": {
        "recipe_count": 5,
        "restrictions": ["vegan", "halal"],
        "generation_time_ms": 1240.5,
        "outcome": "full",
        "provider": None,
    },
}


@dataclass
class Sent:
    """A record as a consumer hands it out."""

    value: bytes | None
    topic: str = EVENTS.name
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = AT_MS
    key: bytes | None = None
    partition: int = 3
    offset: int = 41


def event(**changes: Any) -> Sent:
    return Sent(json.dumps(EVENT | changes).encode())


def letter(reason: str, at_ms: int = AT_MS) -> Sent:
    headers = DeadLetter(EVENTS.name, 3, 40, at_ms, "invalid_field", reason, "", "payment", "shop", None, b"{}").headers()
    return Sent(b"{}", DLQ.name, headers, timestamp=at_ms + 5)


def text(sent: Sent) -> str:
    (seen,) = seen_in([sent])
    return "  ".join(line_of(seen))


def test_an_accepted_event_is_a_line() -> None:
    """Time, type, service, user and properties; a list is counted, null is left out."""
    assert text(event()).split() == [
        *("11:06:40.123", "menu_generated", "menu-api", "u-42"),
        *("recipe_count=5", "restrictions=[2]", "generation_time_ms=1240.5", "outcome=full"),
    ]


def test_a_rejected_one_says_why() -> None:
    """The time is when it was refused; the reason is whole."""
    line = text(letter("properties.outcome: Input should be 'succeeded' or 'failed'"))
    assert re.fullmatch(
        r"11:06:40\.123  payment +shop +- +rejected invalid_field: properties\.outcome: Input should be 'succeeded' or 'failed'", line
    )


def test_nothing_obeys_what_a_sender_wrote() -> None:
    """Control characters and marks that turn the writing round are shown as what they are, whoever wrote them."""
    line = text(letter("a\x1b[2Jb\r\n\u202ec\x9bd"))
    assert line.endswith("rejected invalid_field: a�[2Jb���c�d")


def test_long_texts_are_cut() -> None:
    """A line stays a line."""
    line = text(event(event_type="feedback", properties={"kind": "idea", "detail": "x" * 500}))
    assert line.endswith("kind=idea detail=" + "x" * 59 + "…")


def test_both_topics_are_one_stream_in_time() -> None:
    """Sorted by time; what is no event waits for its letter, and a forwarded record is not shown twice."""
    later, earlier = letter("late", AT_MS + 10), letter("early", AT_MS - 10)
    moved = Sent(event().value, headers=[("moved_from", b"7")])
    seen = seen_in([later, Sent(b"{broken"), Sent(None), moved, event(), earlier])
    assert [(one.reason, one.event is not None) for one in seen] == [("early", False), ("", True), ("late", False)]


def test_a_letter_without_headers_is_shown_too() -> None:
    """Somebody else's record on dlq.v1 says which header it lacks."""
    assert text(Sent(b"{}", DLQ.name)).endswith("rejected unreadable_letter: header dlq.topic is missing")


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Wanted(), ["menu_generated", "payment"]),
        (Wanted("payment"), ["payment"]),
        (Wanted(None, "menu-api"), ["menu_generated"]),
        (Wanted("payment", "menu-api"), []),
    ],
)
def test_what_is_wanted(wanted: Wanted, shown: list[str]) -> None:
    """Type and service choose among accepted and rejected alike."""
    assert [seen.event_type for seen in seen_in([event(), letter("r", AT_MS + 1)]) if wanted(seen)] == shown


def test_names_of_the_seed_are_found_under_ours() -> None:
    """An event sent under an older name has its own type, as everywhere."""
    (seen,) = seen_in([event(event_type="recipe_viewed", properties={"recipeId": "r-1"})])
    assert seen.event_type == "recipe_view"


def test_documents_for_programs() -> None:
    """The whole event, or why it is none, with its place in Kafka."""
    accepted, rejected = (document_of(one) for one in seen_in([event(), letter("r", AT_MS + 1)]))
    assert accepted["event"]["properties"]["restrictions"] == ["vegan", "halal"]
    assert {name: accepted[name] for name in ("verdict", "at", "place")} == {
        "verdict": "accepted",
        "at": "2026-11-18T11:06:40.123Z",
        "place": f"{EVENTS.name}/3/41",
    }
    assert rejected == {
        "verdict": "rejected",
        "at": "2026-11-18T11:06:40.124Z",
        "place": f"{EVENTS.name}/3/40",
        "error_code": "invalid_field",
        "reason": "r",
        "event_type": "payment",
        "service": "shop",
    }


def test_pace_counts_what_it_does_not_let_through() -> None:
    """So many in each second, and the rest are told once."""
    pace = Pace(2)
    assert [pace.admits(now_s) for now_s in (1.0, 1.1, 1.2, 1.9, 2.0)] == [True, True, False, False, True]
    assert (pace.take_skipped(), pace.take_skipped()) == (2, 0)


class Stopped:
    def now_ms(self) -> int:
        return AT_MS

    def monotonic(self) -> float:
        return 7.0


def test_a_terminal_is_not_flooded() -> None:
    """A hundred lines a second, none wider than the terminal, and a line that says what is missing; colours for what was rejected."""
    console = Console(file=io.StringIO(), force_terminal=True, width=90, highlight=False, color_system="standard")
    shown = _Terminal(console, Stopped())
    flood = [Seen(AT_MS, "p", "payment", "shop", code="c", reason="r" * 100)] * (_LINES_PER_S + 50)
    shown.show(flood)
    shown.show([])
    written = console.file.getvalue()  # type: ignore[attr-defined]
    lines = re.sub(r"\x1b\[[\d;]*m", "", written).splitlines()
    assert "\x1b[31m" in written
    assert sum(line.startswith("11:06:40.123  payment") for line in lines) == _LINES_PER_S
    assert max(map(len, lines[:_LINES_PER_S])) == 90
    assert "… 50 more events in that second are not shown" in " ".join(lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--type", "menu_generatde"], "--type menu_generatde is no event type; there are menu_generated, "),
        (["--since", "soon"], "--since: soon is not a duration; write it as in 30s, 2m or 1h"),
    ],
)
def test_wrong_usage(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and one line, before anything is connected to."""
    assert run(["tail", *options]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"telemetry: {said}")
    assert line.count("\n") == 1
