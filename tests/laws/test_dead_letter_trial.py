"""What a trial says of letters is what the log would say with them at its end, counted by hand."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aggregation.panes import Panes
from pipeline.aggregation.partition import PartitionState
from pipeline.aggregation.repeats import RepeatWindow
from pipeline.dead_letters.letters import Ready, prepare
from pipeline.dead_letters.moves import Effect, Moves
from pipeline.dead_letters.trial import Trial
from schemas.event import decode
from schemas.partitioning import partition_of
from schemas.timestamps import isoformat_of
from tests.unit.dead_letters.letters import TEN, document, letter

PARTITION = partition_of("u-42")

#: (number of the id, minutes before ten, duration, provider)
sent = st.tuples(st.integers(0, 9), st.integers(0, 200), st.integers(0, 2), st.sampled_from("ab"))


class _Record:
    headers: tuple[tuple[str, bytes], ...] = ()

    def __init__(self, offset: int) -> None:
        self.offset, self.timestamp = offset, TEN


def event(number: int, minutes: int, duration: int, provider: str) -> dict[str, Any]:
    properties = {**document()["properties"], "generation_time_ms": duration, "provider": provider}
    at = isoformat_of(TEN - minutes * 60_000)
    return document(event_id=f"00000000-0000-4000-8000-{number:012d}", occurred_at=at, properties=properties)


def counted(events: list[tuple[int, int, int, str]]) -> dict[str, tuple[int, int]]:
    """Provider → (events, sum of durations in millionths) of the first copies."""
    firsts = {one[0]: one for one in reversed(events)}.values()
    return {
        provider: (sum(one[3] == provider for one in firsts), sum(one[2] for one in firsts if one[3] == provider) * 1_000_000)
        for provider in "ab"
    }


@settings(max_examples=60, deadline=None)
@given(before=st.lists(sent, max_size=12), letters=st.lists(sent, max_size=12), cut=st.integers(0, 12))
def test_a_trial_moves_numbers_by_what_the_log_with_the_letters_has_more(
    before: list[tuple[int, int, int, str]], letters: list[tuple[int, int, int, str]], cut: int
) -> None:
    """On time or late, repeated or in conflict, before or among the letters, and however the letters are cut into pages."""
    state = PartitionState(PARTITION, 0, 0, Panes(), RepeatWindow())
    state.fold(
        [_Record(offset) for offset in range(len(before))], decode([json.dumps(event(*one)).encode() for one in before]), len(before)
    )
    trial, moves = Trial(state), Moves()
    for page in (letters[:cut], letters[cut:]):
        verdicts = [trial.fold(one, TEN, {}) for one in (prepare(letter(event(*one)), ()) for one in page) if isinstance(one, Ready)]
        moves.add_panes([one for one in verdicts if isinstance(one, Effect)], {})
    was, now = counted(before), counted(before + letters)
    right = {provider: (now[provider][0] - was[provider][0], now[provider][1] - was[provider][1]) for provider in "ab"}
    said = {labels[0]: delta for (metric, labels), delta in moves.metrics.items() if metric == "menu_generation"}
    assert {provider: said.get(provider, (0, 0)) for provider in "ab"} == right
