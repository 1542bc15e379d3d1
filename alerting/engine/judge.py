"""Flushes, readings and the time of day in; what every rule makes of them out. No I/O and no clock.

A rule without `by` is judged at every flush, for the partition that flushed (decision 0004). Of a rule with `by`, a series is judged when
a flush brought something for it, and all of them at each step of ten seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from alerting.engine.board import Board, StoredPanes, Touched
from alerting.engine.condition import Comparison
from alerting.engine.evaluate import LEVEL_WITHIN_MS, Asked, Standing, age_evidence, decide, weigh
from alerting.engine.evidence import Evidence, Judgement
from alerting.engine.knowledge import Knowledge
from alerting.engine.measure import Measure, MeasureKey
from alerting.engine.quantity import LONGEST_PANE_WINDOW_MS
from alerting.engine.readings import ASK_EVERY_MS, NO_WINDOW_MS, STALE_AFTER_MS, Question
from alerting.engine.rule import Rule
from alerting.engine.sampling import ABSENCE_LOOKBACK_MS, Totals, pane_sample, reading_sample
from alerting.engine.series import WHOLE, Series
from schemas.decision import Reading
from schemas.pane import PANE_MS, Flush
from schemas.partitioning import EVENT_PARTITIONS


@dataclass(frozen=True, slots=True)
class _Term:
    """A comparison of a rule; `measure` is None for what panes do not have."""

    asked: Asked
    window_ms: int
    measure: Measure | None


class Judge:
    """`complete_from_ms`: event time before which panes may be missing; no window that needs them is judged."""

    def __init__(self, rules: Sequence[Rule], *, partitions: int = EVENT_PARTITIONS, complete_from_ms: int = 0) -> None:
        self.rules = {rule.name: rule for rule in rules}
        self.complete_from_ms = complete_from_ms
        self.board = Board({key: _remembered_ms(key, of_ms) for key, of_ms in _measured(rules).items()}, partitions)
        self.knowledge = Knowledge(rules)
        self._terms = {rule.name: tuple(self._term(rule, comparison) for comparison in rule.condition.comparisons) for rule in rules}
        self._watched: dict[str, dict[Series, int]] = {rule.name: {} for rule in rules}
        self._stepped_ms: dict[str, int] = {}
        self._listening_since_ms: int | None = None
        self._ticked_minute = 0

    def remember(self, flush: Flush, at_ms: int) -> None:
        """Take in a flush of the log at `at_ms` without judging it."""
        self.board.fold(flush, at_ms)
        self.board.take_touched(flush.source_partition)

    def remember_stored(self, stored: StoredPanes) -> None:
        """The same of panes that ClickHouse has."""
        self.board.fold_stored(stored)

    def flush(self, flush: Flush, at_ms: int) -> Iterator[Judgement]:
        """Take in a flush of the log at `at_ms` and look at what it changed, by rule, then by end of the window, then by series.

        Nothing if it is part of a flush, or a repair: the rest, or the next one, says how far the partition is.
        """
        self.board.fold(flush, at_ms)
        reached_ms = self.board.effective_watermark_ms(flush.source_partition)
        if reached_ms is None or (flush.watermark is None and flush.caught_up_at is None):
            return iter(())
        return self._looks(self.board.take_touched(flush.source_partition), reached_ms)

    def reading(self, reading: Reading) -> Iterator[Judgement]:
        """Keep an answer of ClickHouse, and look at the rules that it alone decides."""
        self.knowledge.learn(reading)
        rules = [rule for rule in self.rules.values() if _asks_warehouse_only(rule) and self.knowledge.asks(rule, reading.question_id)]
        return (self._warehouse_look(rule, series) for rule in rules for series in self._warehouse_series(rule))

    def tick(self, now_ms: int) -> Iterator[Judgement]:
        """Look at the rules about the pipeline; and once a minute at those that ClickHouse has not answered for five."""
        since_ms = self._listening_since_ms
        if since_ms is None:
            return
        for rule in self.rules.values():
            if rule.watches_pipeline:
                yield self._pipeline_look(rule, since_ms, now_ms)
        minute = now_ms // ASK_EVERY_MS
        if minute > self._ticked_minute:
            self._ticked_minute = minute
            for rule in filter(_asks_warehouse_only, self.rules.values()):
                if minute * ASK_EVERY_MS - max(since_ms, self.knowledge.oldest_ms(rule)) >= STALE_AFTER_MS:
                    for series in self._warehouse_series(rule):
                        yield self._warehouse_look(rule, series, minute * ASK_EVERY_MS)

    def questions(self, now_ms: int) -> list[Question]:
        """What ClickHouse should be asked now; each is returned once, and again a minute later while it is wanted."""
        return self.knowledge.questions(now_ms)

    def listen(self, now_ms: int) -> None:
        """From now on flushes are expected, and time may act."""
        self._listening_since_ms = now_ms
        self._ticked_minute = now_ms // ASK_EVERY_MS

    def watch(self, rule: str, series: Series, from_ms: int = 0) -> None:
        """Look at a series at every step of event time from `from_ms` on, though nothing comes for it any more."""
        if rule in self._watched:
            self._watched[rule][series] = from_ms

    def unwatch(self, rule: str, series: Series) -> None:
        """As before again; harmless for what is not watched."""
        self._watched.get(rule, {}).pop(series, None)

    def look(self, rule: Rule, series: Series, window_to_ms: int, judged_to_ms: int) -> Judgement:
        """Judge the windows of one series that end at `window_to_ms`, an end of a pane, on what is known up to `judged_to_ms`."""
        return self._judged(rule, series, window_to_ms, judged_to_ms, self._standing(judged_to_ms))

    def look_since(self, rule: Rule, series: Series, since_ms: int, window_to_ms: int, judged_to_ms: int) -> Judgement:
        """Judge all that came from `since_ms` on, as far as it is known, at most an hour, instead of the rule's own windows."""
        if _asks_warehouse_only(rule):
            return self._warehouse_look(rule, series)
        kept_ms = max((term.measure.oldest() * PANE_MS for term in self._terms[rule.name] if term.measure is not None), default=0)
        from_ms = max(_next_pane(since_ms), _next_pane(self.complete_from_ms), kept_ms, window_to_ms - LONGEST_PANE_WINDOW_MS)
        return self._judged(rule, series, window_to_ms, judged_to_ms, self._standing(judged_to_ms), from_ms=min(from_ms, window_to_ms))

    def _term(self, rule: Rule, comparison: Comparison) -> _Term:
        asked = Asked(comparison, rule.gates, rule.min_events_for(comparison))
        in_panes = rule.source_of(comparison) == "panes"
        measure = self.board.measures[MeasureKey.of(comparison, rule.by)] if in_panes else None
        return _Term(asked, rule.window_ms_of(comparison), measure)

    def _looks(self, touched: Touched, reached_ms: int) -> Iterator[Judgement]:
        standing: dict[int, Standing] = {}
        open_end_ms = reached_ms // PANE_MS * PANE_MS + PANE_MS
        for rule in self.rules.values():
            if rule.longest_window_ms == 0:
                continue
            for window_to_ms, all_series in sorted(self._due(rule, touched, open_end_ms).items()):
                if not self._is_known(rule, window_to_ms):
                    continue
                judged_to_ms = min(window_to_ms, reached_ms)
                if judged_to_ms not in standing:
                    standing[judged_to_ms] = self._standing(judged_to_ms)
                totals = Totals(self.board) if len(all_series) > 1 else None
                for series in sorted(all_series):
                    yield self._judged(rule, series, window_to_ms, judged_to_ms, standing[judged_to_ms], totals=totals)

    def _due(self, rule: Rule, touched: Touched, open_end_ms: int) -> dict[int, set[Series]]:
        """Which series to look at, by end of the window: those whose panes lie in it, and all at a step to the next open pane."""
        due: dict[int, set[Series]] = {}
        for term in self._terms[rule.name]:
            for series, panes in touched.get(term.measure, {}).items() if term.measure is not None else ():
                for pane in panes:
                    start_ms = pane * PANE_MS
                    last_ms = min(start_ms + rule.longest_window_ms, open_end_ms)
                    for window_to_ms in range(start_ms + PANE_MS, last_ms + 1, PANE_MS):
                        due.setdefault(window_to_ms, set()).add(series)
        if not rule.by:
            due[open_end_ms] = {WHOLE}
        elif open_end_ms > self._stepped_ms.get(rule.name, 0):
            self._stepped_ms[rule.name] = open_end_ms
            watched = (series for series, from_ms in self._watched[rule.name].items() if from_ms <= open_end_ms)
            due.setdefault(open_end_ms, set()).update(self._present(rule, open_end_ms), watched)
        return due

    def _present(self, rule: Rule, window_to_ms: int) -> Iterable[Series]:
        """Series that there is something to say about: with events in the window, or of which some were expected."""
        for term in self._terms[rule.name]:
            if term.measure is None:
                known = self.knowledge.value(rule, term.asked.comparison, window_to_ms)
                yield from () if known is None else known.rows
            elif term.asked.comparison.against == "absence":
                yield from list(term.measure.rows)
            else:
                yield from term.measure.present((window_to_ms - term.window_ms) // PANE_MS, window_to_ms // PANE_MS)
            if term.asked.comparison.needs_baseline:
                yield from self.knowledge.usual_series(rule, term.asked.comparison, window_to_ms)

    def _is_known(self, rule: Rule, window_to_ms: int) -> bool:
        """Whether all panes that the rule's windows need can have been read, and are still remembered."""
        for term in self._terms[rule.name]:
            if term.measure is not None:
                from_ms = window_to_ms - lookback_of(rule, term.asked.comparison)
                if from_ms < self.complete_from_ms or from_ms < term.measure.oldest() * PANE_MS:
                    return False
        return True

    def _standing(self, judged_to_ms: int) -> Standing:
        return Standing(len(self.board.partitions), self.board.missing(judged_to_ms - LEVEL_WITHIN_MS), self.board.stalled())

    def _judged(
        self,
        rule: Rule,
        series: Series,
        window_to_ms: int,
        judged_to_ms: int,
        standing: Standing,
        *,
        totals: Totals | None = None,
        from_ms: int | None = None,
    ) -> Judgement:
        evidence = []
        for term in self._terms[rule.name]:
            if term.measure is None:
                evidence.append(self._reading_evidence(rule, term, series, judged_to_ms, standing))
            elif from_ms is None or term.asked.comparison.against != "threshold":
                window_ms = (window_to_ms - term.window_ms, window_to_ms)
                evidence.append(self._pane_evidence(rule, term.asked, term.measure, series, window_ms, standing, totals))
            else:
                evidence.append(self._pane_evidence(rule, term.asked, term.measure, series, (from_ms, window_to_ms), standing, totals))
        return self._judgement(rule, series, window_to_ms, judged_to_ms, window_to_ms, tuple(evidence))

    def _pane_evidence(
        self,
        rule: Rule,
        asked: Asked,
        measure: Measure,
        series: Series,
        window_ms: tuple[int, int],
        standing: Standing,
        totals: Totals | None,
    ) -> Evidence:
        def by_partition() -> list[int]:
            known = self.board if totals is None else totals
            return known.events_by_partition(measure, series, window_ms[0] // PANE_MS, window_ms[1] // PANE_MS)

        sample = pane_sample(self.knowledge, rule, asked.comparison, measure, series, window_ms, totals)
        return weigh(asked, sample, standing, by_partition)

    def _reading_evidence(self, rule: Rule, term: _Term, series: Series, judged_to_ms: int, standing: Standing) -> Evidence:
        known = self.knowledge.value(rule, term.asked.comparison, judged_to_ms)
        window_ms = term.window_ms or NO_WINDOW_MS
        sample = reading_sample(known, series, (judged_to_ms - window_ms, judged_to_ms))
        return weigh(term.asked, sample, Standing(standing.partitions, (), standing.stalled), list)

    def _warehouse_look(self, rule: Rule, series: Series, at_ms: int | None = None) -> Judgement:
        window_to_ms = self.knowledge.newest_ms(rule) if at_ms is None else at_ms
        standing = Standing(len(self.board.partitions), (), self.board.stalled(window_to_ms))
        evidence = tuple(self._reading_evidence(rule, term, series, window_to_ms, standing) for term in self._terms[rule.name])
        return self._judgement(rule, series, window_to_ms, window_to_ms, window_to_ms, evidence)

    def _warehouse_series(self, rule: Rule) -> list[Series]:
        if not rule.by:
            return [WHOLE]
        newest_ms = self.knowledge.newest_ms(rule)
        known = (self.knowledge.value(rule, term.asked.comparison, newest_ms) for term in self._terms[rule.name])
        return sorted(set(self._watched[rule.name]).union(*(one.rows for one in known if one is not None)))

    def _pipeline_look(self, rule: Rule, since_ms: int, now_ms: int) -> Judgement:
        flushed_ms = [self.board.flushed_ms(partition) for partition in self.board.partitions]
        evidence = tuple(age_evidence(comparison, flushed_ms, since_ms, now_ms) for comparison in rule.condition.comparisons)
        judgement = self._judgement(rule, WHOLE, now_ms, now_ms, evidence[0].window_from_ms, evidence)
        judgement.last_offsets = ()
        return judgement

    def _judgement(
        self, rule: Rule, series: Series, window_to_ms: int, judged_to_ms: int, anchor_ms: int, evidence: tuple[Evidence, ...]
    ) -> Judgement:
        verdict, decisive = decide(rule.condition.root, evidence)
        return Judgement(
            rule=rule,
            series=series,
            verdict=verdict,
            window_to_ms=window_to_ms,
            judged_to_ms=judged_to_ms,
            anchor_ms=anchor_ms,
            watermark_ms=self.board.watermark_ms,
            last_offsets=self.board.last_offsets,
            evidence=evidence,
            decisive=decisive,
        )


def metrics_of(rules: Iterable[Rule]) -> frozenset[str]:
    """The metrics whose panes the rules need."""
    return frozenset(key.quantity.metric.name for key in _measured(rules) if key.quantity.metric is not None)


def bucketed_metrics_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Those of them whose buckets are needed, too."""
    keys = (key for key in _measured(rules) if key.quantity.kind == "quantile")
    return frozenset(key.quantity.metric.name for key in keys if key.quantity.metric is not None)


def lookback_ms(rules: Iterable[Rule]) -> int:
    """How far before the end of a window panes are needed to judge it."""
    return max(_measured(rules).values(), default=0)


def lookback_of(rule: Rule, comparison: Comparison) -> int:
    """The same of one comparison."""
    return rule.window_ms_of(comparison) + (ABSENCE_LOOKBACK_MS if comparison.against == "absence" else 0)


def _measured(rules: Iterable[Rule]) -> dict[MeasureKey, int]:
    """What is to be measured, and how far back it is looked."""
    measured: dict[MeasureKey, int] = {}
    for rule in rules:
        for comparison in rule.condition.comparisons:
            if rule.source_of(comparison) == "panes":
                key = MeasureKey.of(comparison, rule.by)
                measured[key] = max(measured.get(key, 0), lookback_of(rule, comparison))
    return measured


def _remembered_ms(key: MeasureKey, lookback_of_rules_ms: int) -> int:
    """A rule as a whole is one series, of which an hour costs nothing: that much is looked at together when little comes."""
    return lookback_of_rules_ms if key.by else max(lookback_of_rules_ms, LONGEST_PANE_WINDOW_MS)


def _asks_warehouse_only(rule: Rule) -> bool:
    return all(rule.source_of(comparison) == "warehouse" for comparison in rule.condition.comparisons)


def _next_pane(ms: int) -> int:
    return -(-ms // PANE_MS) * PANE_MS
