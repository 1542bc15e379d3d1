"""What ClickHouse has answered, and what it is to be asked: values each minute, what is usual once for each hour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from alerting.engine.baseline import NOTHING_USUAL, Usual, hours_of, usual_of, usual_over
from alerting.engine.condition import Comparison
from alerting.engine.questions import HOUR_MS
from alerting.engine.readings import STALE_AFTER_MS, Known, Question, asked_minute, baseline_id, baseline_question, value_id, value_question
from alerting.engine.rule import Rule
from alerting.engine.series import Series
from schemas.decision import Reading
from schemas.timestamps import to_ms

#: What is usual is asked for the hour to come, too, and kept for windows that are judged late.
_AHEAD_MS: Final = 120_000
_LATE_MS: Final = 900_000
_HOURS_KEPT: Final = 4


class Knowledge:
    """The newest answers to the questions of `rules`."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._values: dict[str, Known] = {}
        self._usual: dict[str, dict[int, dict[Series, Usual]]] = {}  # question without its hour → hour → series
        self._asked: dict[str, int] = {}
        self._value_terms: dict[str, tuple[Comparison, tuple[str, ...], int]] = {}
        self._usual_terms: dict[str, tuple[Comparison, tuple[str, ...], int]] = {}
        self._rules_of_metric: dict[str, set[str]] = {}
        for rule in rules:
            for comparison in rule.condition.comparisons:
                self._learn(rule, comparison)

    def questions(self, now_ms: int) -> list[Question]:
        """Those that are due, each once a minute; what is usual in an hour no more once it is known."""
        minute = asked_minute(now_ms)
        return [question for question in self._wanted(now_ms, minute) if self._is_due(question, minute)]

    def learn(self, reading: Reading) -> None:
        """Keep an answer; one that is older than what is known, or that no rule asks for, changes nothing."""
        if (term := self._value_terms.get(reading.question_id)) is not None:
            known = self._values.get(reading.question_id)
            if known is None or known.window_to_ms <= to_ms(reading.window_to):
                self._values[reading.question_id] = Known.of(reading, term[1])
            return
        hour_ms = to_ms(reading.window_from)
        for name, (comparison, by, _) in self._usual_terms.items():
            if baseline_id(comparison, by, hour_ms) == reading.question_id:
                hours = self._usual.setdefault(name, {})
                hours[hour_ms] = usual_of(reading, by)
                for old in sorted(hours)[:-_HOURS_KEPT]:
                    del hours[old]

    def asks(self, rule: Rule, question_id: str) -> bool:
        """Whether the answer to a question about a value is one of the rule's."""
        return any(_value_id(rule, one) == question_id for one in rule.condition.comparisons if rule.source_of(one) == "warehouse")

    def value(self, rule: Rule, comparison: Comparison, judged_to_ms: int) -> Known | None:
        """The newest value, unless it is too old at that time."""
        known = self._values.get(_value_id(rule, comparison))
        return None if known is None or judged_to_ms - known.window_to_ms >= STALE_AFTER_MS else known

    def newest_ms(self, rule: Rule) -> int:
        """The end of the newest window that is known of any of the rule's values; 0 without one."""
        ids = (_value_id(rule, one) for one in rule.condition.comparisons if rule.source_of(one) == "warehouse")
        return max((self._values[one].window_to_ms for one in ids if one in self._values), default=0)

    def oldest_ms(self, rule: Rule) -> int:
        """The end of the newest window of the value that is behind most; 0 while one has never been answered."""
        ids = (_value_id(rule, one) for one in rule.condition.comparisons if rule.source_of(one) == "warehouse")
        return min((self._values[one].window_to_ms if one in self._values else 0 for one in ids), default=0)

    def usual(self, rule: Rule, comparison: Comparison, series: Series, window_from_ms: int, window_to_ms: int) -> Usual | None:
        """What is usual over a window; None while ClickHouse has not said."""
        hours = self._usual.get(_usual_name(comparison, rule.by), {})
        if any(hour not in hours for hour in hours_of(window_from_ms, window_to_ms)):
            return None
        by_hour = {hour: hours[hour].get(series, NOTHING_USUAL) for hour in hours_of(window_from_ms, window_to_ms)}
        return usual_over(comparison, by_hour, window_from_ms, window_to_ms)

    def usual_series(self, rule: Rule, comparison: Comparison, window_to_ms: int) -> Iterable[Series]:
        """The series of which something is usual in the hour a window ends in."""
        return self._usual.get(_usual_name(comparison, rule.by), {}).get((window_to_ms - 1) // HOUR_MS * HOUR_MS, {})

    def _learn(self, rule: Rule, comparison: Comparison) -> None:
        if comparison.quantity.metric is not None:
            self._rules_of_metric.setdefault(comparison.quantity.metric.name, set()).add(rule.name)
        window_ms = rule.window_ms_of(comparison)
        if rule.source_of(comparison) == "warehouse":
            self._value_terms[_value_id(rule, comparison)] = (comparison, rule.by, window_ms)
        if comparison.needs_baseline:
            name = _usual_name(comparison, rule.by)
            longest_ms = max(window_ms, self._usual_terms.get(name, (comparison, (), 0))[2])
            self._usual_terms[name] = (comparison, rule.by, longest_ms)

    def _wanted(self, now_ms: int, minute: int) -> Iterator[Question]:
        for question_id, (comparison, by, window_ms) in self._value_terms.items():
            if self._asked.get(question_id) != minute:
                yield value_question(comparison, by, window_ms, now_ms)
        for name, (comparison, by, window_ms) in self._usual_terms.items():
            for hour_ms in hours_of(now_ms - window_ms - _LATE_MS, now_ms + _AHEAD_MS):
                if hour_ms not in self._usual.get(name, {}) and self._asked.get(baseline_id(comparison, by, hour_ms)) != minute:
                    assert comparison.quantity.metric is not None, "only what is in panes has usual times"
                    yield baseline_question(comparison, by, hour_ms, self._rules_of_metric[comparison.quantity.metric.name])

    def _is_due(self, question: Question, minute: int) -> bool:
        if self._asked.get(question.question_id) == minute:
            return False
        self._asked = {asked: at for asked, at in self._asked.items() if at == minute} | {question.question_id: minute}
        return True


def _value_id(rule: Rule, comparison: Comparison) -> str:
    return value_id(comparison, rule.by, rule.window_ms_of(comparison))


def _usual_name(comparison: Comparison, by: Iterable[str]) -> str:
    return baseline_id(comparison, by, 0)
