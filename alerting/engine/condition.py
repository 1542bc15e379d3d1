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
    far the value is from usual times, `threshold` a ratio of these (see `deviation`). absence: the number of events, which has to be 0.
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

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a series with `labels` is selected; the quantity's own filters are not looked at."""
        return all(selector.selects(labels) for selector in self.selectors)

    def holds(self, value: float) -> bool:
        """Whether it is true of the value, or of its deviation where it needs a baseline."""
        return OPERATORS[self.operator](value, self.threshold)

    def deviation(self, value: float, baseline: float) -> float:
        """How far `value` is from a baseline above 0, as a ratio of it: what `holds` is asked of when usual times are meant."""
        below = self.against == "drop" or (self.against == "degradation" and self.quantity.worse == "lower")
        return 1 - value / baseline if below else value / baseline - 1


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
