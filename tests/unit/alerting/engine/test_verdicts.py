from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from alerting.engine import lifecycle
from alerting.engine.lifecycle import Lifecycle
from alerting.engine.rule import Rule
from alerting.engine.series import WHOLE, Series
from alerting.engine.verdicts import Ledger, Look
from schemas.alert import Verdict
from schemas.decision import Decision
from schemas.timestamps import from_ms
from tests.unit.alerting.looks import a_rule, look
from tests.unit.alerting.traffic import now_at

WEB, DB, CACHE = ((("host", name),) for name in ("web", "db", "cache"))
BY_HOST = a_rule("cpu > 80%", by=["host"])


@dataclass
class Book:
    """A ledger that is shown looks by hand, and the lifecycles they lead to."""

    rule: Rule = field(default_factory=a_rule)
    ledger: Ledger = field(default_factory=Ledger)
    lifecycles: dict[Series, Lifecycle] = field(default_factory=dict)
    written: list[Decision] = field(default_factory=list)

    def look(self, verdict: Verdict, *at_s: float, series: Series = WHOLE, held_by: str = "") -> list[Decision]:
        before = len(self.written)
        for second in at_s:
            judgement = look(self.rule, verdict, second, series=series, held_by=held_by)
            state, _ = lifecycle.step(self.lifecycles.get(series, Lifecycle()), judgement, now_at(second))
            self.lifecycles[series] = state
            self.written += self.ledger.follow(Look(judgement, state), now_at(second))
        return self.written[before:]

    def unknown(self, held_by: str, *at_s: float, series: Series = WHOLE) -> list[Decision]:
        return self.look("unknown", *at_s, series=series, held_by=held_by)

    def verdicts(self) -> list[tuple[Verdict, Verdict | None, str]]:
        """(verdict, previous, first failed gate) of every change."""
        rows = [row for row in self.written if row.kind == "verdict"]
        return [(row.verdict, row.previous, next((gate.name for gate in row.gates if not gate.passed), "")) for row in rows]

    def minutes(self) -> list[Decision]:
        return [row for row in self.written if row.kind == "minute"]


def test_a_change_is_written_once_with_what_was_before() -> None:
    """True at once; false and unknown when their window is behind; the same again is no news."""
    book = Book()
    assert book.unknown("n", 1, 5) == []
    assert [row.verdict for row in book.look("false", 11)] == ["unknown"]
    assert [row.verdict for row in book.look("false", 21, 31)] == ["false"]
    assert [row.verdict for row in book.look("true", 35)] == ["true"]
    book.look("true", 45, 55)
    assert book.verdicts() == [("unknown", None, "n"), ("false", "unknown", ""), ("true", "false", "")]
    assert [row.window_to for row in book.written] == [from_ms(now_at(second)) for second in (10, 20, 40)]


def test_a_gate_that_takes_over_from_another_is_a_change() -> None:
    """Unknown for another reason is another answer to why nobody was paged."""
    book = Book()
    for held_by, at_s in (("n", 1), ("partitions", 11), ("partitions", 21), ("pipeline", 31), ("confidence", 41)):
        book.unknown(held_by, at_s)
    book.look("false", 51)
    assert [gate for _, _, gate in book.verdicts()] == ["n", "partitions", "pipeline", "confidence"]


def test_a_condition_that_is_pending_is_written_with_the_time_it_lacks() -> None:
    """True, held by `for`; then true, and the key of what fires."""
    book = Book(a_rule(for_="30s"))
    book.look("false", 1)
    book.look("true", 11, 21, 31, 41)
    pending, firing = [row for row in book.written if row.verdict == "true"]
    assert (pending.state, pending.incident_key, pending.reason) == ("pending", None, "true for 0 ms, at least 30 s needed")
    assert [gate.name for gate in pending.gates if not gate.passed] == ["for"]
    incident = book.lifecycles[WHOLE].open
    assert incident is not None
    assert (firing.state, firing.incident_key, firing.previous) == ("firing", incident.incident_key, "true")
    assert all(gate.passed for gate in firing.gates)


def test_a_false_verdict_of_an_incident_that_is_kept_open_names_it() -> None:
    """Between the last true look and the end of `keep_firing_for` the verdict is false and the state firing."""
    book = Book()
    book.look("true", 1)
    book.look("false", 11, 21)
    row = book.written[-1]
    assert (row.verdict, row.state, row.incident_key) == ("false", "firing", book.written[0].incident_key)


def test_a_late_look_at_an_old_window_is_no_change() -> None:
    """A rule's verdict is that of the newest window."""
    book = Book()
    book.look("false", 301, 311)
    before = len(book.written)
    assert book.unknown("n", 51) == []
    assert book.look("false", 315, 321) == []
    assert len(book.written) == before


def test_partitions_that_disagree_within_a_window_are_two_lines_at_most() -> None:
    """Twenty looks at one window, now true, now unknown: the first true one, and what the last one said."""
    book = Book()
    book.look("false", 1)
    for tenth in range(20):
        book.look("true", 11 + tenth / 10)
        book.unknown("partitions", 11 + tenth / 10)
    book.unknown("partitions", 21)
    assert [verdict for verdict, _, _ in book.verdicts()] == ["false", "true", "unknown"]


def test_a_series_is_news_when_something_is_wrong_with_it() -> None:
    """One more host that is fine is none; its change is, with its label."""
    book = Book(BY_HOST)
    book.look("false", 1, 11, 21, series=WEB)
    book.unknown("n", 1, 11, 21, series=DB)
    assert book.verdicts() == []
    book.look("true", 31, series=WEB)
    book.look("false", 31, 41, series=DB)
    assert [(row.labels, row.verdict, row.previous) for row in book.written] == [
        ({"host": "web"}, "true", "false"),
        ({"host": "db"}, "false", "unknown"),
    ]


def test_what_a_series_was_when_it_fell_silent_is_written_by_the_end_of_the_minute() -> None:
    """Nobody looks at it again, so nobody else would."""
    book = Book(BY_HOST)
    book.look("false", 1, 11, series=WEB)
    book.unknown("partitions", 21, series=WEB)
    book.look("false", 31, 41, 51, series=DB)
    assert book.verdicts() == []
    book.look("false", 61, series=DB)
    assert book.verdicts() == [("unknown", "false", "partitions")]


def test_a_minute_is_one_line_by_the_worst_series_and_counts_the_others() -> None:
    """Written when the next minute is looked at; the window is the last of the minute."""
    book = Book(a_rule("cpu > 80%", by=["host"], **{"for": "1m"}))
    for second in range(1, 60, 10):
        book.look("false", second, series=WEB)
        book.unknown("n", second, series=CACHE)
        book.look("true", second, series=DB)
    assert book.minutes() == []
    (row,) = [row for row in book.look("false", 61, series=WEB) if row.kind == "minute"]
    assert (row.verdict, row.state, row.labels, row.window_to) == ("true", "pending", {"host": "db"}, from_ms(now_at(60)))
    assert row.series == {"pending": 1, "inactive": 2}
    book.look("true", *range(61, 121, 10), series=DB)
    book.unknown("n", *range(61, 121, 10), series=CACHE)
    book.look("false", 71, 81, 121, series=WEB)
    assert [(row.state, row.series) for row in book.minutes()[1:]] == [("firing", {"firing": 1, "inactive": 2})]
    assert len({row.decision_id for row in book.written}) == len(book.written)


def test_of_series_that_are_inactive_unknown_is_worse_than_false() -> None:
    """What might be held back is what somebody asks about."""
    book = Book(BY_HOST)
    book.look("false", 51, series=CACHE)
    book.unknown("partitions", 51, series=WEB)
    book.look("false", 61, series=DB)
    (row,) = book.minutes()
    assert (row.verdict, row.labels, row.gates[0].name) == ("unknown", {"host": "web"}, "partitions")


def test_a_minute_without_a_look_has_no_line() -> None:
    """Nothing was read, so nothing is known; the minute that was looked at last is closed by the next look."""
    book = Book()
    book.look("false", 31)
    book.look("false", 301)
    book.look("false", 361)
    assert [row.window_to for row in book.minutes()] == [from_ms(now_at(40)), from_ms(now_at(310))]


def test_a_series_that_is_not_seen_for_long_is_forgotten() -> None:
    """Four minutes without a look: it is not counted any more, and coming back it is no change; an open incident is never forgotten."""
    book = Book(BY_HOST)
    book.look("false", 1, series=WEB)
    book.look("true", 1, series=DB)
    for second in range(1, 400, 10):
        book.look("false", second, series=CACHE)
    assert book.minutes()[0].series == {"firing": 1, "inactive": 2}
    assert book.minutes()[-1].series == {"firing": 1, "inactive": 1}
    before = len(book.verdicts())
    book.unknown("n", 401, series=WEB)
    book.look("false", 411, series=CACHE)
    assert len(book.verdicts()) == before


@pytest.mark.parametrize("killed_after", range(0, 700, 35))
def test_a_ledger_that_goes_on_from_what_it_observed_writes_the_same(killed_after: int) -> None:
    """Twenty minutes of changing looks at three hosts: those of the last six minutes are enough to go on."""
    rule = a_rule("cpu > 80%", by=["host"], **{"for": "20s"})
    said: list[tuple[Verdict, str]] = [("false", ""), ("unknown", "n"), ("true", ""), ("unknown", "partitions")]
    looks: list[tuple[int, Series, Verdict, str]] = [
        (second, series, *said[(second // 10 * (7 + number) // 13 + number) % 4])
        for second in range(0, 1200, 4)
        for number, series in enumerate((WEB, DB, CACHE))
        if number < 2 or second % 500 < 150
    ]

    def shown(book: Book, some: list[tuple[int, Series, Verdict, str]]) -> None:
        for second, series, verdict, held_by in some:
            book.look(verdict, second, series=series, held_by=held_by)

    straight, before, after = Book(rule), Book(rule), Book(rule)
    shown(straight, looks)
    shown(before, looks[:killed_after])
    from_s = looks[killed_after][0] - 360
    after.lifecycles = {series: Lifecycle(open=state.open) for series, state in before.lifecycles.items() if state.open is not None}
    shown(after, [one for one in looks[:killed_after] if one[0] >= from_s])
    observed = len(after.written)
    shown(after, looks[killed_after:])
    ids = [row.decision_id for row in before.written + after.written[observed:]]
    assert ids == [row.decision_id for row in straight.written]
