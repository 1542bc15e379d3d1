"""The numbers of the last minute, as a rule would judge them now."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from pipeline.demo.board import Board, Totals
from schemas.metrics import METRICS
from schemas.pane import PANE_MS

_RATE_OVER_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """One metric over all labels. events: since the demo began; per_s: as they arrived in the last ten seconds; the rest: last minute.

    errors: None for a metric without an error rate.
    """

    name: str
    events: int
    per_s: float
    last_minute: Totals
    errors: int | None


class Rates:
    """Looks at a board again and again; event time moves with the live menus, so a rate is taken from when events arrived."""

    def __init__(self, board: Board, metrics: dict[str, str], from_ms: int, window_ms: int) -> None:
        """`metrics`: name → what people call it; events before `from_ms` are not counted."""
        self._board, self._metrics, self._from_ms, self._window_ms = board, metrics, from_ms, window_ms
        self._history: dict[str, deque[tuple[float, int]]] = {name: deque() for name in metrics}

    def look(self, now_ms: int) -> list[Row]:
        """The window ends with the pane that is open at `now_ms`, as a rule's does."""
        to_ms = now_ms // PANE_MS * PANE_MS + PANE_MS
        rows = []
        for metric, name in self._metrics.items():
            total, _ = self._board.metric(metric, self._from_ms)
            last, errors = self._board.metric(metric, to_ms - self._window_ms, to_ms)
            per_s = self._per_s(metric, total.count, now_ms / 1000)
            rows.append(Row(name, total.count, per_s, last, errors if METRICS[metric].error_label else None))
        return rows

    def _per_s(self, metric: str, count: int, now_s: float) -> float:
        history = self._history[metric]
        history.append((now_s, count))
        while len(history) > 2 and now_s - history[1][0] >= _RATE_OVER_S:
            history.popleft()
        since_s, before = history[0]
        return (count - before) / (now_s - since_s) if now_s > since_s else 0.0
