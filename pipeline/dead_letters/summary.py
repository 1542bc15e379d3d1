"""Dead letters by what is wrong with them and who sent them, and what has become of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pipeline.agents.rows import redacted_sample
from pipeline.clickhouse.client import Client
from pipeline.dead_letters.fixes import derived_id
from pipeline.dead_letters.letters import LOST, is_given_up
from pipeline.dead_letters.stored import received_ms
from schemas.dead_letter import DeadLetter
from schemas.timestamps import isoformat_of

#: replayed: an event with the letter's id, or with the one that a replay gives it, has been stored since, whoever sent it.
#: given_up: replayed as often as anything is, and refused again. lost: there is no event in the letter that could be replayed.
State = Literal["open", "replayed", "given_up", "lost"]
STATES: Final[tuple[State, ...]] = ("open", "replayed", "given_up", "lost")

#: So many different samples, reasons and event types of a group are shown.
KEPT: Final = 3
#: Beyond so many different ones no new one is counted: a sender may write anything.
_MOST_TEXTS: Final = 1_000
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(slots=True)
class Group:
    """Letters with one error code from one service. Samples show names of fields and kinds of values, never what was in them."""

    error_code: str
    service: str
    first_ms: int
    last_ms: int
    states: Counter[State] = field(default_factory=Counter)
    event_types: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    samples: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.states.values())

    def add(self, letter: DeadLetter, state: State) -> None:
        """Count one more."""
        self.first_ms, self.last_ms = min(self.first_ms, letter.failed_at_ms), max(self.last_ms, letter.failed_at_ms)
        self.states[state] += 1
        for counter, text in ((self.event_types, letter.event_type), (self.reasons, letter.reason)):
            if text in counter or len(counter) < _MOST_TEXTS:
                counter[text] += 1
        if len(self.samples) < KEPT and (sample := redacted_sample(letter.value)) not in self.samples:
            self.samples.append(sample)

    def as_document(self) -> dict[str, Any]:
        """For programs; the most frequent types and reasons first."""
        return {
            "error_code": self.error_code,
            "service": self.service,
            "count": self.count,
            **{state: self.states[state] for state in STATES},
            "first_at": isoformat_of(self.first_ms),
            "last_at": isoformat_of(self.last_ms),
            "event_types": dict(self.event_types.most_common(KEPT)),
            "reasons": dict(self.reasons.most_common(KEPT)),
            "samples": self.samples,
        }


class Summary:
    """Groups by (error code, service)."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Group] = {}

    @property
    def groups(self) -> list[Group]:
        """The largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.error_code, group.service))

    def add(self, letter: DeadLetter, state: State) -> None:
        """Count one more."""
        key = letter.error_code, letter.service
        if key not in self._groups:
            self._groups[key] = Group(*key, letter.failed_at_ms, letter.failed_at_ms)
        self._groups[key].add(letter, state)


async def states_of(client: Client, letters: Sequence[DeadLetter]) -> list[State]:
    """What has become of each of a page of letters. Raises RetryAfter, Stop when ClickHouse does not answer."""
    if not letters:
        return []
    ids = [_ids(letter) for letter in letters]
    stored_ms = await received_ms(client, {one for of_letter in ids for one in of_letter}, min(letter.failed_at_ms for letter in letters))
    return [
        _state(letter, any(stored_ms.get(one, 0) >= letter.failed_at_ms for one in of_letter))
        for letter, of_letter in zip(letters, ids, strict=True)
    ]


def _ids(letter: DeadLetter) -> set[str]:
    """Under which its event is stored once it is. The id of a conflict belongs to another event, which was there before."""
    own = letter.event_id.lower()
    return {derived_id(letter), *([own] if _ID.fullmatch(own) and letter.error_code != "event_id_conflict" else [])}


def _state(letter: DeadLetter, is_stored: bool) -> State:
    if is_stored:
        return "replayed"
    if letter.error_code in LOST:
        return "lost"
    return "given_up" if is_given_up(letter) else "open"


def as_text(groups: Iterable[Group]) -> Iterable[str]:
    """Lines for people."""
    for group in groups:
        states = ", ".join(f"{group.states[state]:,} {state.replace('_', ' ')}" for state in STATES if group.states[state])
        since, until = (isoformat_of(ms) for ms in (group.first_ms, group.last_ms))
        yield f"{group.error_code} from {group.service or 'nobody knows whom'}: {group.count:,} ({states}), {since} to {until}"
        for reason, count in group.reasons.most_common(KEPT):
            yield f"  {count:,} × {reason}"
        for sample in group.samples:
            yield f"  {sample}"
