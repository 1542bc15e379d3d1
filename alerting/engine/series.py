"""A series of a rule: the labels it is judged by, each combination an incident of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

#: Pairs of a rule's `by` labels, sorted by name; empty for a rule that is judged as a whole.
Series = tuple[tuple[str, str], ...]

WHOLE: Final[Series] = ()


def series_of(labels: Mapping[str, str], by: Iterable[str]) -> Series:
    """The series that a pane, or an answer of ClickHouse, with `labels` belongs to; a label that is absent is ''."""
    return tuple((name, labels.get(name, "")) for name in sorted(by))
