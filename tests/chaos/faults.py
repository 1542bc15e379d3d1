"""What can be done to the stack, as data: printable, comparable, and the same in every process that reads it. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final, Literal

When = Literal["before", "after"]
Action = Literal["kill", "freeze"]

#: What a worker does to the outside, in the order of DESIGN.md 1; a process may die or freeze on either side of each.
EFFECTS: Final = (
    "moved",
    "panes.v1",
    "events_raw",
    "counted_events",
    "dlq.v1",
    "dead_letters_raw",
    "first_exposures_raw",
    "user_days_raw",
    "stale_hours",
    "panes_raw",
    "partition_progress",
    "done",
    "commit",
)
#: The gateway's only one: Kafka has the events, the client has no answer yet.
PUBLISHED: Final = "published"


@dataclass(frozen=True, slots=True)
class Point:
    """A side of an effect: before it the one that precedes it is there, after it that one is too."""

    when: When
    effect: str

    def __str__(self) -> str:
        return f"{self.when} {self.effect}"


#: Between every pair of effects, before the first and after the last.
BOUNDARIES: Final = (Point("before", EFFECTS[0]), *(Point("after", effect) for effect in EFFECTS))


@dataclass(frozen=True, slots=True)
class Order:
    """What a process does to itself when it comes to `point` for the `nth` time from when it got the order."""

    action: Action
    point: Point
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.action} {self.point} {self.nth}"

    @classmethod
    def parse(cls, text: str) -> Order:
        """The order that `str` wrote: "kill after panes_raw 7"."""
        action, when, effect, nth = text.split()
        if action not in ("kill", "freeze") or when not in ("before", "after") or effect not in (*EFFECTS, PUBLISHED):
            raise ValueError(f"not an order: {text!r}")
        return cls("kill" if action == "kill" else "freeze", Point("before" if when == "before" else "after", effect), int(nth))


class Kind(StrEnum):
    """Of faults; the value is what people read."""

    KILL = "SIGKILL of a worker"
    KILL_AT = "SIGKILL of a worker at an effect"
    TERMINATE = "SIGTERM of a worker"
    FREEZE = "SIGSTOP of a worker"
    FREEZE_AT = "SIGSTOP of a worker at an effect"
    STORM = "rebalance storm"
    BROKER = "SIGKILL of the broker"
    WAREHOUSE = "SIGKILL of the warehouse"
    HANG = "warehouse hangs mid-response"
    GATEWAY_AT = "SIGKILL of the gateway between Kafka's answer and its own"
    ALERTER = "SIGKILL of the alerter"
    NOTIFIER = "SIGKILL of the notifier"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `worker` counts from 0; `seconds` is for how long whatever it is stays so; `order` is for the process itself."""

    at_s: float
    kind: Kind
    worker: int = 0
    seconds: float = 0.0
    order: Order | None = None

    def __str__(self) -> str:
        details = [f"worker {self.worker}"] if "worker" in self.kind else []
        details += [str(self.order)] if self.order else []
        details += [f"{self.seconds:.1f} s"] if self.seconds else []
        return line(self.at_s, self.kind, details)


def line(at_s: float, what: str, details: list[str]) -> str:
    """What people read of a fault."""
    return f"{at_s:5.1f} s  {what}" + (f" ({', '.join(details)})" if details else "")


def as_json(faults: list[Fault]) -> str:
    """One fault a line."""
    return "".join(json.dumps(asdict(fault) | {"order": fault.order and str(fault.order)}) + "\n" for fault in faults)
