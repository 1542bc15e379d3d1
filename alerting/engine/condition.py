"""The condition of a rule, `error_rate > 5% OR avg_time > 30s` as the seed writes it, as a tree. `condition_text` reads it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from alerting.engine.quantity import Quantity

Against = Literal["threshold", "drop", "degradation", "rise", "absence"]

OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Selector:
    """Only the series whose `label` has `value`, or has another where `negated`."""

    label: str
    value: str
    negated: bool = False

    def selects(self, labels: Mapping[str, str]) -> bool:
        return (labels.get(self.label, "") == self.value) is not self.negated


@dataclass(frozen=True, slots=True)
class Comparison:
    """A quantity beside a threshold. `window_ms` None means the window of the rule.

    against threshold: the value itself, `threshold` in the quantity's unit, 0.05 for 5% and 30000 for 30s. drop, degradation, rise: how
    far the value is from usual times, `threshold` a ratio of these (see `limit`). absence: the number of events, which has to be 0.
    """

    text: str
    quantity: Quantity
    selectors: tuple[Selector, ...]
    window_ms: int | None
    against: Against
    operator: str
    threshold: float

    @property
    def needs_baseline(self) -> bool:
        """Whether it is with usual times that the value is compared."""
        return self.against in {"drop", "degradation", "rise"}

    @property
    def downwards(self) -> bool:
        """Whether it is low values that make it true: `<`, a drop, or a degradation of what should be high."""
        if self.against == "degradation":
            return self.quantity.worse == "lower"
        return self.against == "drop" or self.operator in {"<", "<="}

    def limit(self, usual: float | None = None) -> float:
        """What the value has to pass: the threshold, or what is usual, less or more its part of it."""
        if usual is None:
            return self.threshold
        return usual * (1 - self.threshold if self.downwards else 1 + self.threshold)

    def holds(self, value: float, usual: float | None = None) -> bool:
        """Whether it is true of the value, beside what is usual where it needs a baseline."""
        if usual is None:
            return OPERATORS[self.operator](value, self.threshold)
        limit = self.limit(usual)
        beyond = value < limit if self.downwards else value > limit
        return beyond or (self.operator == ">=" and value == limit)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True when one part is true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """True when every part is true."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when its part is false, unknown when it is unknown."""

    part: Node


Node = Comparison | AnyOf | AllOf | Not


@dataclass(frozen=True, slots=True)
class Condition:
    """The text as written, the tree, and its comparisons from left to right."""

    text: str
    root: Node
    comparisons: tuple[Comparison, ...]


def comparisons_of(node: Node) -> Iterable[Comparison]:
    """The leaves, from left to right."""
    if isinstance(node, Comparison):
        yield node
    elif isinstance(node, Not):
        yield from comparisons_of(node.part)
    else:
        for part in node.parts:
            yield from comparisons_of(part)
