"""Questions to ClickHouse and its answers: what a rule needs that panes do not have, and how old an answer may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alerting.engine.baseline import same_hours_ms
from alerting.engine.condition import Comparison
from alerting.engine.questions import HOUR_MS, baseline_sql, value_sql
from alerting.engine.series import Series, series_of
from schemas.decision import Decision, Reading, ReadingRow
from schemas.timestamps import from_ms, isoformat_of, to_ms

#: Values are asked for so often; an answer that is older than STALE_AFTER_MS is none.
ASK_EVERY_MS: Final = 60_000
STALE_AFTER_MS: Final = 300_000
#: So long after a minute its events are stored: whoever asks again for what an alert says gets the same.
STORED_AFTER_MS: Final = 5_000
#: What has no window of its own: the cohorts a reading is about began so long before.
NO_WINDOW_MS: Final = 15 * 86_400_000


@dataclass(frozen=True, slots=True)
class Question:
    """`question_id` is the same for rules that ask the same, and for the next minute's; of a baseline it names the hour.

    The window ends at a full minute; of a baseline, with the hour it is asked for. sql: see `questions`.
    """

    question_id: str
    window_from_ms: int
    window_to_ms: int
    sql: str


def value_question(comparison: Comparison, by: Iterable[str], window_ms: int, now_ms: int) -> Question:
    """The value over the window that ends with the last full minute that is stored."""
    end_ms = asked_minute(now_ms) * ASK_EVERY_MS
    begin_ms = end_ms - (window_ms or NO_WINDOW_MS)
    return Question(value_id(comparison, by, window_ms), begin_ms, end_ms, value_sql(comparison, begin_ms, end_ms, by=by))


def asked_minute(now_ms: int) -> int:
    """The number of the minute whose beginning is the end of the windows that are asked for."""
    return (now_ms - STORED_AFTER_MS) // ASK_EVERY_MS


def baseline_question(comparison: Comparison, by: Iterable[str], hour_ms: int, rules: Iterable[str]) -> Question:
    """What is usual in the hour that begins at `hour_ms`; `rules` are those whose incidents make an hour unusual."""
    sql = baseline_sql(comparison, by, same_hours_ms(hour_ms), rules)
    return Question(baseline_id(comparison, by, hour_ms), hour_ms, hour_ms + HOUR_MS, sql)


def value_id(comparison: Comparison, by: Iterable[str], window_ms: int) -> str:
    """Names the question for a value."""
    return _asked(comparison, by) + (f" over {window_ms // 1000} s" if window_ms else "")


def baseline_id(comparison: Comparison, by: Iterable[str], hour_ms: int) -> str:
    """Names the question for what is usual in an hour."""
    return f"usual {_asked(comparison, by)} at {isoformat_of(hour_ms)}"


def answer(question: Question, rows: Sequence[Mapping[str, Any]], read_at_ms: int) -> Reading:
    """The reading that the rows of `question.sql` make; `read_at_ms`: when it is handed to the engine."""
    return Reading(
        question_id=question.question_id,
        window_from=from_ms(question.window_from_ms),
        window_to=from_ms(question.window_to_ms),
        read_at=from_ms(read_at_ms),
        rows=tuple(
            ReadingRow(
                labels={str(name): str(value) for name, value in row["labels"].items()},
                numerator=float(row["numerator"]),
                denominator=float(row["denominator"]),
                value=None if row["value"] is None else float(row["value"]),
            )
            for row in rows
        ),
    )


def reading_to_decision(reading: Reading, decision_id: str) -> Decision:
    """The row of the ledger that lets a backtest know what was known."""
    return Decision(
        decision_id=decision_id,
        rule=reading.question_id,
        kind="reading",
        at=reading.read_at,
        verdict="unknown",
        previous=None,
        reason=f"{len(reading.rows)} rows",
        incident_key=None,
        window_from=reading.window_from,
        window_to=reading.window_to,
        judged_to=reading.window_to,
        terms=(),
        gates=(),
        reading=reading,
    )


def reading_from_decision(decision: Decision) -> Reading:
    """What `reading_to_decision` was made of. Raises ValueError for another kind of decision."""
    if decision.reading is None:
        raise ValueError(f"a decision of kind {decision.kind} has no reading")
    return decision.reading


@dataclass(frozen=True, slots=True)
class Known:
    """The newest answer to one question about a value, by series."""

    window_from_ms: int
    window_to_ms: int
    rows: Mapping[Series, ReadingRow]

    @classmethod
    def of(cls, reading: Reading, by: Iterable[str]) -> Known:
        labels = tuple(by)
        rows = {series_of(row.labels, labels): row for row in reading.rows}
        return cls(to_ms(reading.window_from), to_ms(reading.window_to), rows)


def _asked(comparison: Comparison, by: Iterable[str]) -> str:
    selected = ",".join(f'{one.label}{"!=" if one.negated else "="}"{one.value}"' for one in comparison.selectors)
    labels = ",".join(sorted(by))
    return comparison.quantity.name + (f"{{{selected}}}" if selected else "") + (f" by {labels}" if labels else "")
