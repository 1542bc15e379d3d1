"""What a backtest found, for people and programs. Pure.

A fire is an incident that began to page within the period. Detected after: from the event time at which its condition became true, until
it fired. A false alarm: a fire that nobody really acknowledged, by any incident of the rule that was open then, and that was over within
5 minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from alerting.backtest import Backtest
from alerting.replay import Replay
from schemas.alert import OPEN_STATES, Alert
from schemas.escalation import Escalation
from schemas.timestamps import isoformat_of, to_ms

FALSE_ALARM_WITHIN_MS: Final = 300_000
_WEEK_MS: Final = 7 * 86_400_000
_PAGING: Final = frozenset({"step_due", "repeated", "reassigned"})


@dataclass(frozen=True, slots=True)
class Fire:
    """Times in ms; ended_ms: None when it was still open at the end of the period."""

    rule: str
    severity: str
    labels: dict[str, str]
    summary: str
    fired_ms: int
    ended_ms: int | None
    detected_after_ms: int
    false_alarm: bool

    @property
    def place(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Where it fired: the same for each rule set."""
        return self.rule, tuple(sorted(self.labels.items()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule set would have done. pages: by receiver; recorded: fires of windows that were too old to page."""

    name: str
    fires: tuple[Fire, ...]
    pages: dict[str, int]
    recorded: int
    false_alarms_per_week: float
    unanswered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A fire that both rule sets have; later_ms: how much later the second fires, negative for sooner."""

    first: Fire
    second: Fire

    @property
    def later_ms(self) -> int:
        return self.second.fired_ms - self.first.fired_ms


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the fires of two rule sets; `both` may have fired at other times."""

    only_first: tuple[Fire, ...]
    only_second: tuple[Fire, ...]
    both: tuple[Moved, ...]


def outcomes(backtest: Backtest) -> list[Outcome]:
    """One of each rule set."""
    return [_outcome(replay, backtest) for replay in backtest.replays]


def difference(first: Outcome, second: Outcome) -> Difference:
    """Fires of the same rule and series that overlap, or touch, are the same."""
    left, both, alone = list(second.fires), [], []
    for fire in first.fires:
        same = next((other for other in left if other.place == fire.place and _overlap(fire, other)), None)
        if same is None:
            alone.append(fire)
        else:
            left.remove(same)
            both.append(Moved(fire, same))
    return Difference(tuple(alone), tuple(left), tuple(both))


def as_document(backtest: Backtest) -> dict[str, Any]:
    """For programs; times in ms since 1970, in UTC."""
    found = outcomes(backtest)
    document: dict[str, Any] = {
        "from": isoformat_of(backtest.from_ms),
        "to": isoformat_of(backtest.to_ms),
        **{name: getattr(backtest, name) for name in ("flushes", "readings", "commands")},
        "rule_sets": [asdict(outcome) for outcome in found],
    }
    if len(found) == 2:
        change = difference(*found)
        document["difference"] = {
            "only_first": [asdict(fire) for fire in change.only_first],
            "only_second": [asdict(fire) for fire in change.only_second],
            "both": [{"first": asdict(one.first), "second": asdict(one.second), "later_ms": one.later_ms} for one in change.both],
        }
    return document


def as_text(backtest: Backtest) -> list[str]:
    """Lines for a terminal."""
    found = outcomes(backtest)
    head = f"{isoformat_of(backtest.from_ms)} to {isoformat_of(backtest.to_ms)}: {backtest.flushes} flushes, "
    lines = [f"{head}{backtest.readings} answers of ClickHouse, {backtest.commands} commands"]
    for outcome in found:
        lines += ["", *_of_outcome(outcome)]
    if len(found) == 2:
        lines += ["", *_of_difference(difference(*found), found[0].name, found[1].name)]
    return lines


def _outcome(replay: Replay, backtest: Backtest) -> Outcome:
    fires, recorded = _fires(replay, backtest)
    pages = Counter(event.target for _, event in replay.said if isinstance(event, Escalation) and _pages(event))
    false_alarms = sum(fire.false_alarm for fire in fires)
    return Outcome(
        name=replay.name,
        fires=tuple(fires),
        pages={str(target): count for target, count in sorted(pages.items(), key=lambda pair: (-pair[1], str(pair[0])))},
        recorded=recorded,
        false_alarms_per_week=false_alarms * _WEEK_MS / (backtest.to_ms - backtest.from_ms),
        unanswered=tuple(replay.unanswered),
    )


def _fires(replay: Replay, backtest: Backtest) -> tuple[list[Fire], int]:
    """Those that begin within the period, by time, and how many were too old to page."""
    begun = {alert.incident_key for _, alert in replay.before if isinstance(alert, Alert)}
    lives: dict[str, list[tuple[int, Alert]]] = {}
    for now_ms, alert in replay.said:
        if isinstance(alert, Alert) and alert.incident_key not in begun:
            lives.setdefault(alert.incident_key, []).append((now_ms, alert))
    fires = [_fire(life, backtest) for life in lives.values() if life[0][1].state == "firing"]
    return fires, sum(life[0][1].state == "retro_fired" for life in lives.values())


def _fire(life: Sequence[tuple[int, Alert]], backtest: Backtest) -> Fire:
    fired_ms, first = life[0]
    ended_ms = next((now_ms for now_ms, alert in life if alert.state not in OPEN_STATES), None)
    end_ms = backtest.to_ms if ended_ms is None else ended_ms
    real = any(alert.rule == first.rule and fired_ms <= at_ms <= end_ms for at_ms, alert in backtest.acknowledged)
    return Fire(
        rule=first.rule,
        severity=first.severity,
        labels=dict(first.labels),
        summary=first.summary,
        fired_ms=fired_ms,
        ended_ms=ended_ms,
        detected_after_ms=fired_ms - to_ms(first.since),
        false_alarm=ended_ms is not None and ended_ms - fired_ms <= FALSE_ALARM_WITHIN_MS and not real,
    )


def _pages(event: Escalation) -> bool:
    return event.event in _PAGING and event.notify


def _overlap(one: Fire, other: Fire) -> bool:
    return (one.ended_ms is None or other.fired_ms <= one.ended_ms) and (other.ended_ms is None or one.fired_ms <= other.ended_ms)


def _of_outcome(outcome: Outcome) -> list[str]:
    paged = ", ".join(f"{target} {count}" for target, count in outcome.pages.items())
    false_alarms = sum(fire.false_alarm for fire in outcome.fires)
    said = [
        _count(len(outcome.fires), "fire"),
        _count(sum(outcome.pages.values()), "page") + (f" ({paged})" if paged else ""),
        f"{_count(false_alarms, 'false alarm')} ({outcome.false_alarms_per_week:.3g} a week)",
        *([f"{outcome.recorded} too old to page"] if outcome.recorded else []),
    ]
    lines = [f"{outcome.name}: {', '.join(said)}"]
    for rule in dict.fromkeys(fire.rule for fire in outcome.fires):
        fires = [fire for fire in outcome.fires if fire.rule == rule]
        after = [fire.detected_after_ms for fire in fires]
        lines.append(f"  {rule}: {len(fires)}, detected after {_s(median(after))}, at most {_s(max(after))}")
        lines += [f"    {_fire_text(fire)}" for fire in fires]
    lines += [f"  never asked of ClickHouse then, so unknown: {question}" for question in outcome.unanswered]
    return lines


def _of_difference(change: Difference, first: str, second: str) -> list[str]:
    if not (change.only_first or change.only_second or any(moved.later_ms for moved in change.both)):
        return [f"difference: none; {_count(len(change.both), 'fire')} in both"]
    lines = [f"difference: {len(change.only_first)} only {first}, {len(change.only_second)} only {second}, {len(change.both)} in both"]
    lines += _alone(change.only_first, first) + _alone(change.only_second, second)
    for moved in change.both:
        if moved.later_ms:
            lines.append(f"  {second} {_s(abs(moved.later_ms))} {'later' if moved.later_ms > 0 else 'sooner'}: {_fire_text(moved.first)}")
    return lines


def _alone(fires: Iterable[Fire], name: str) -> list[str]:
    return [f"  only {name}: {fire.rule}: {_fire_text(fire)}" for fire in fires]


def _fire_text(fire: Fire) -> str:
    end = "still open" if fire.ended_ms is None else f"to {isoformat_of(fire.ended_ms)[11:19]}"
    return f"{isoformat_of(fire.fired_ms)[:19].replace('T', ' ')} {end}{', false alarm' if fire.false_alarm else ''}: {fire.summary}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _s(ms: float) -> str:
    return f"{ms / 1000:.1f} s"
