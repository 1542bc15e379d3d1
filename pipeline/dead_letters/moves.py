"""What some events would add to the numbers there are. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.aggregation.catalogue import Labels
from pipeline.aggregation.exposures import Exposure, ExposureKey
from pipeline.aggregation.panes import Panes, Snapshot, named_labels
from pipeline.aggregation.partition import Counted
from pipeline.aggregation.retention import DAY_MS, UserDay
from pipeline.aggregation.watermark import hour_of
from schemas.metrics import METRICS
from schemas.pane import MILLIONTHS
from schemas.timestamps import isoformat_of

#: (start in ms since 1970, metric, labels) of a pane.
Series = tuple[int, str, Labels]


@dataclass(frozen=True, slots=True)
class Effect:
    """What one event that counts leaves: the panes it alone would make, in which no label is folded yet, and facts.

    `is_late` when its pane is closed, so that a repair brings it in.
    """

    partition: int
    counted: Counted
    panes: Sequence[Snapshot]
    exposures: Mapping[ExposureKey, Exposure]
    user_days: frozenset[UserDay]
    is_late: bool

    @property
    def hour_ms(self) -> int:
        return hour_of(self.counted.occurred_ms)


@dataclass(slots=True)
class Moves:
    """Sums over all effects so far. `hours_too_old` are (partition, hour) whose panes nobody recomputes: their events move no metric."""

    metrics: dict[tuple[str, Labels], tuple[int, int]] = field(default_factory=dict)
    events: Counter[tuple[str, int]] = field(default_factory=Counter)
    user_days: set[tuple[str, int]] = field(default_factory=set)
    first_exposures: dict[ExposureKey, Exposure] = field(default_factory=dict)
    hours_too_old: set[tuple[int, int]] = field(default_factory=set)
    _series: dict[int, set[Series]] = field(default_factory=lambda: defaultdict(set))

    def add_events(self, effects: Iterable[Effect]) -> None:
        """Count them, by type and hour."""
        self.events.update((effect.counted.event["event_type"], effect.hour_ms) for effect in effects)

    def add_panes(self, effects: Sequence[Effect], stored: Mapping[int, Sequence[Series]]) -> None:
        """Add what they bring to panes, where `stored` series, and those of earlier calls, have taken the names of labels already."""
        for partition in {effect.partition for effect in effects}:
            own = [effect for effect in effects if effect.partition == partition]
            starts = {snapshot.start_ms for effect in own for snapshot in effect.panes}
            taken = {*stored.get(partition, ()), *(series for series in self._series[partition] if series[0] in starts)}
            panes = Panes(Snapshot(metric, labels, start_ms, 0, 0, {}, -1, 0, 0) for start_ms, metric, labels in taken)
            for effect in own:
                for snapshot in effect.panes:
                    value = snapshot.sum_millionths / MILLIONTHS if snapshot.buckets else None
                    panes.fold(snapshot.start_ms, snapshot.metric, snapshot.labels, value, effect.counted.offset, 0)
            self._add(partition, panes)

    def _add(self, partition: int, panes: Panes) -> None:
        for snapshot in panes.changed():
            self._series[partition].add((snapshot.start_ms, snapshot.metric, snapshot.labels))
            count, total = self.metrics.get((snapshot.metric, snapshot.labels), (0, 0))
            self.metrics[snapshot.metric, snapshot.labels] = count + snapshot.count, total + snapshot.sum_millionths

    def add_facts(self, effects: Iterable[Effect], days: set[tuple[str, int]], exposures: Mapping[ExposureKey, Exposure]) -> None:
        """Add the facts that are new beside those stored: `days` of users, and first `exposures`."""
        for effect in effects:
            for user_id, since_ms in effect.user_days:
                if (user_id, day_of(since_ms)) not in days:
                    self.user_days.add((user_id, day_of(since_ms)))
            for key, seen in effect.exposures.items():
                first = self.first_exposures.get(key) or exposures.get(key)
                if first is None or seen < first:
                    self.first_exposures[key] = seen

    def as_document(self) -> dict[str, Any]:
        """For programs; `sum` in the metric's unit."""
        return {
            "metrics": [
                {
                    "metric": metric,
                    "labels": dict(named_labels(metric, labels)),
                    "unit": METRICS[metric].unit,
                    "count": count,
                    "sum": total / MILLIONTHS,
                }
                for (metric, labels), (count, total) in sorted(self.metrics.items())
            ],
            "events": [
                {"event_type": event_type, "hour": isoformat_of(hour_ms), "count": count}
                for (event_type, hour_ms), count in sorted(self.events.items())
            ],
            "user_days": len(self.user_days),
            "first_exposures": len(self.first_exposures),
            "hours_too_old": [{"partition": partition, "hour": isoformat_of(hour_ms)} for partition, hour_ms in sorted(self.hours_too_old)],
        }


def day_of(instant_ms: int) -> int:
    """Start of the UTC day."""
    return instant_ms - instant_ms % DAY_MS
