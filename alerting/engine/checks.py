"""The gates a comparison has to pass, and what each says for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from schemas.alert import Gate


class Check(NamedTuple):
    """One gate: what was seen, beside what is needed. `partitions` are those it is about."""

    name: str
    passed: bool
    seen: float = 0
    needed: float = 0
    partitions: tuple[int, ...] = ()

    def gate(self) -> Gate:
        return Gate(name=self.name, passed=self.passed, detail=_DETAILS[self.name](self))


def held_by(checks: Iterable[Check]) -> str:
    """The first gate that does not let the verdict pass; '' when all do."""
    for check in checks:
        if not check.passed:
            return check.name
    return ""


def _partitions(check: Check) -> str:
    if not check.partitions:
        return f"all {check.needed:.0f} partitions are in"
    return f"partitions {_listed(check.partitions)} are not in" + (", and could not change the verdict" if check.passed else "")


def _pipeline(check: Check) -> str:
    return f"no flush from partitions {_listed(check.partitions)} for 10 s" if check.partitions else "no partition has stalled"


def _flushes(check: Check) -> str:
    return f"no flush from partitions {_listed(check.partitions)}" if check.partitions else f"all {check.needed:.0f} partitions flush"


def _warehouse(check: Check) -> str:
    return "ClickHouse has answered" if check.passed else "no answer of ClickHouse that is fresh enough"


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


_DETAILS: Final[dict[str, Callable[[Check], str]]] = {
    "n": lambda check: f"{check.seen:.0f} events, at least {check.needed:.0f} needed",
    "errors": lambda check: f"{check.seen:.0f} of them count against it, at least {check.needed:.0f} needed",
    "confidence": lambda check: f"{check.seen:.4g} once chance is taken off, and the limit is {check.needed:.4g}",
    "expected": lambda check: f"{check.seen:.4g} events expected, at least {check.needed:.4g} needed",
    "history": lambda check: f"usual times are known from {check.seen:.0f} of the last 4 weeks, at least {check.needed:.0f} needed",
    "warehouse": _warehouse,
    "partitions": _partitions,
    "pipeline": _pipeline,
    "flushes": _flushes,
}
