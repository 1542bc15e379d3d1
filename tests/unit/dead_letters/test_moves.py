from __future__ import annotations

import uuid
from typing import Any

from pipeline.aggregation.exposures import Exposure
from pipeline.aggregation.panes import Panes
from pipeline.aggregation.partition import PartitionState
from pipeline.aggregation.repeats import RepeatWindow
from pipeline.aggregation.watermark import HOUR_MS
from pipeline.dead_letters.letters import Ready, prepare
from pipeline.dead_letters.moves import Effect, Moves
from pipeline.dead_letters.trial import Trial, identity
from schemas.event import BadEvent
from schemas.partitioning import partition_of
from tests.unit.dead_letters.letters import TEN, document, letter

PARTITION = partition_of("u-42")


def event(provider: str = "ollama", **changes: Any) -> dict[str, Any]:
    properties = {**document()["properties"], "provider": provider}
    return document(**{"event_id": str(uuid.uuid4()), "properties": properties, **changes})


def trial(watermark_ms: int = TEN) -> Trial:
    return Trial(PartitionState(PARTITION, 100, watermark_ms, Panes(), RepeatWindow()))


def as_ready(document: dict[str, Any]) -> Ready:
    one = prepare(letter(document), ())
    assert isinstance(one, Ready)
    return one


def effects(*documents: dict[str, Any], of: Trial | None = None) -> list[Effect]:
    used = of or trial()
    found = [used.fold(as_ready(one), TEN, {}) for one in documents]
    assert all(isinstance(one, Effect) for one in found)
    return [one for one in found if isinstance(one, Effect)]


def test_an_event_moves_its_metric_and_the_count_of_events() -> None:
    """Count and sum under its labels, its type in its hour, and the day of its user."""
    moves = Moves()
    (one,) = effects(event())
    moves.add_events([one])
    moves.add_panes([one], {})
    moves.add_facts([one], set(), {})
    assert moves.as_document() == {
        "metrics": [
            {"metric": "events", "labels": {"event_type": "menu_generated", "service": "menu-api"}, "unit": "", "count": 1, "sum": 0.0},
            {
                "metric": "menu_generation",
                "labels": {"provider": "ollama", "outcome": "full"},
                "unit": "ms",
                "count": 1,
                "sum": 1240.5,
            },
        ],
        "events": [{"event_type": "menu_generated", "hour": "2026-11-23T10:00:00.000Z", "count": 1}],
        "user_days": 1,
        "first_exposures": 0,
        "hours_too_old": [],
    }


def test_labels_fold_where_a_hundred_have_taken_a_name_already() -> None:
    """As in the pane itself: 98 stored names and two new ones in an earlier page leave none for the next; a known one keeps its name."""
    moves = Moves()
    stored = {PARTITION: [(TEN, "menu_generation", (f"p-{i}", "full")) for i in range(98)]}
    moves.add_panes(effects(event("new-1"), event("new-2")), stored)
    moves.add_panes(effects(event("new-3"), event("new-1"), event("p-5"), event("new-4")), stored)
    named = {labels[0]: count for (metric, labels), (count, _) in moves.metrics.items() if metric == "menu_generation"}
    assert named == {"new-1": 2, "new-2": 1, "p-5": 1, ":other": 2}


def test_a_repeat_moves_nothing_and_another_content_is_a_conflict() -> None:
    """Whether the first copy was folded before, among the letters, or is known to be stored elsewhere in the log."""
    one, of = event(), trial()
    other = {**one, "properties": {**one["properties"], "recipe_count": 9}}
    (effect,) = effects(one, of=of)
    assert of.fold(as_ready(one), TEN, {}) is None
    conflict = of.fold(as_ready(other), TEN, {})
    assert isinstance(conflict, BadEvent)
    assert conflict.code == "event_id_conflict"
    known = {identity(as_ready(one).event): effect.counted.content_hash}
    assert trial().fold(as_ready(one), TEN, known) is None
    assert isinstance(trial().fold(as_ready(other), TEN, known), BadEvent)


def test_late_is_what_lies_behind_the_watermark_as_the_letters_move_it() -> None:
    """A quarter of an hour behind, and letters in front of it count too."""
    early, late = event(occurred_at="2026-11-23T09:30:00Z"), event(occurred_at="2026-11-23T09:44:49Z")
    assert [one.is_late for one in effects(early, event(), late, of=trial(TEN - HOUR_MS))] == [False, False, True]
    assert [one.is_late for one in effects(late, of=trial(TEN))] == [True]


def test_only_new_facts_count() -> None:
    """A day of a user once, a first exposure when there is none or a later one."""

    def shown(subject: str, at: str) -> dict[str, Any]:
        return event(
            event_type="feature_exposure", user_id=None, session_id=subject, occurred_at=at, properties={"flag": "f", "variant": "B"}
        )

    sessions: dict[int, str] = {}
    for i in range(1_000):
        if partition_of(f"s-{i}") == PARTITION:
            sessions[len(sessions)] = f"s-{i}"
    times = "2026-11-23T10:00:00Z", "2026-11-23T09:59:00Z"
    documents = [shown(sessions[i], at) for at in times for i in range(3)]
    known = {(sessions[0], "f"): Exposure(TEN - HOUR_MS, "", "A"), (sessions[1], "f"): Exposure(TEN - 30_000, "", "A")}
    moves = Moves()
    some = effects(*documents, event(), event(), event(occurred_at="2026-11-22T10:00:00Z"))
    moves.add_facts(some, {("u-42", TEN - 10 * HOUR_MS)}, known)
    assert moves.first_exposures.keys() == {(sessions[1], "f"), (sessions[2], "f")}
    assert moves.user_days == {("u-42", TEN - 34 * HOUR_MS)}
