from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from alerting.engine import lifecycle
from alerting.engine.announcement import Order
from alerting.engine.identity import digest, incident_key
from alerting.engine.lifecycle import Lifecycle
from alerting.engine.rule import Rule
from alerting.engine.series import WHOLE, Series
from schemas.alert import Alert, AlertState, Context, ErrorClass, Verdict
from schemas.timestamps import from_ms
from tests.unit.alerting.looks import a_rule, look
from tests.unit.alerting.traffic import now_at

WEB_1: Series = (("host", "web-1"),)


@dataclass
class Life:
    """One lifecycle, looked at by hand; `said` is every alert."""

    rule: Rule = field(default_factory=a_rule)
    series: Series = WHOLE
    state: Lifecycle = field(default_factory=Lifecycle)
    said: list[Alert] = field(default_factory=list)

    def look(self, verdict: Verdict, *at_s: float, held_by: str = "", late_s: float = 0) -> list[AlertState]:
        """Judged at each of `at_s`, the clock being `late_s` beyond; returns what that made it say."""
        before = len(self.said)
        for second in at_s:
            judgement = look(self.rule, verdict, second, series=self.series, held_by=held_by)
            self.state, alert = lifecycle.step(self.state, judgement, now_at(second + late_s))
            self.said += [] if alert is None else [alert]
        return [alert.state for alert in self.said[before:]]

    def unknown(self, held_by: str, *at_s: float) -> list[AlertState]:
        return self.look("unknown", *at_s, held_by=held_by)

    def ack(self, at_s: float, command_id: str = "c-1") -> None:
        self.state, alert = lifecycle.acknowledge(self.state, self.series, Order("alice", command_id), now_at(at_s))
        self.said += [] if alert is None else [alert]

    def unack(self, at_s: float, command_id: str = "c-2") -> None:
        self.state, alert = lifecycle.unacknowledge(self.state, self.series, Order("bob", command_id), now_at(at_s))
        self.said += [] if alert is None else [alert]

    def restarted(self) -> Life:
        return Life(self.rule, self.series, lifecycle.restore([*self.said, *self.said], self.rule))

    @property
    def states(self) -> list[AlertState]:
        return [alert.state for alert in self.said]


def test_a_rule_without_for_fires_at_the_first_true_look() -> None:
    """And says so once, however long it is true."""
    life = Life()
    assert life.look("false", 1, 2) == []
    assert life.look("true", *range(3, 200)) == ["firing"]
    assert life.state.state == "firing"


def test_a_condition_is_pending_until_it_has_been_true_for_as_long_as_the_rule_asks() -> None:
    """`for: 2m`: true from 7 s on, it fires at 127 s, since 7 s, named by the window that was true first."""
    life = Life(a_rule(for_="2m"))
    assert life.look("true", *range(7, 127)) == []
    assert life.state.state == "pending"
    assert life.look("true", 127) == ["firing"]
    (fired,) = life.said
    assert (fired.since, fired.judged_to) == (from_ms(now_at(7)), from_ms(now_at(127)))
    assert fired.incident_key == incident_key(life.rule.name, {}, now_at(10))
    assert fired.gates[-1].model_dump() == {"name": "for", "passed": True, "detail": "true for 120 s, at least 120 s needed"}


def test_false_ends_what_is_pending() -> None:
    """One false look, and the time begins anew."""
    life = Life(a_rule(for_="2m"))
    life.look("true", *range(0, 110, 10))
    life.look("false", 110)
    assert life.state == Lifecycle()
    assert life.look("true", *range(120, 240, 10)) == []
    assert life.look("true", 240) == ["firing"]


def test_a_false_look_at_an_earlier_time_does_not_end_what_is_pending() -> None:
    """Partitions are not level: one that is behind looks at what has been true since."""
    life = Life(a_rule(for_="2m"))
    life.look("true", *range(0, 110, 10))
    life.look("false", 99)
    assert life.look("true", 120) == ["firing"]


def test_unknown_holds_what_is_pending_for_as_long_as_for() -> None:
    """Two minutes without a true look and it is over; a shorter gap is none."""
    life = Life(a_rule(for_="2m"))
    life.look("true", 0, 60)
    life.unknown("partitions", *range(70, 180, 10))
    assert life.state.state == "pending"
    assert life.look("true", 175) == ["firing"]
    lost = Life(a_rule(for_="2m"))
    lost.look("true", 0, 60)
    lost.unknown("partitions", *range(70, 190, 10), 181)
    assert lost.state == Lifecycle()
    assert lost.look("true", 190) == []
    assert lost.state.state == "pending"


def test_an_incident_ends_when_it_has_been_false_for_as_long_as_the_rule_keeps_it() -> None:
    """`keep_firing_for: 30s`: true at 10 s, false at 39 s keeps it, false at 40 s does not."""
    life = Life(a_rule(keep_firing_for="30s"))
    life.look("true", 0, 10)
    assert life.look("false", *range(11, 40)) == []
    assert life.look("false", 40) == ["resolved"]
    assert life.said[0].incident_key == life.said[1].incident_key
    assert life.said[0].transition_id == digest(life.said[0].incident_key, "firing")
    assert life.said[1].transition_id == digest(life.said[0].incident_key, "resolved")
    assert life.state.state == "inactive"


@pytest.mark.parametrize("held_by", ["n", "errors", "confidence", "partitions", "pipeline", "warehouse", "history"])
def test_unknown_never_ends_an_incident(held_by: str) -> None:
    """Whatever holds the verdict back, the incident stays open."""
    life = Life(a_rule(no_data_after="1d"))
    life.look("true", 0)
    assert life.unknown(held_by, *range(10, 7200, 10)) == []
    assert life.state.open is not None


def test_flapping_every_thirty_seconds_is_one_opening_and_one_end() -> None:
    """Half an hour of it; the default keeps an incident for a minute."""
    life = Life(a_rule())
    for second in range(0, 1800, 60):
        life.look("true", second, second + 10, second + 20)
        life.look("false", second + 30, second + 40, second + 50)
    life.look("false", *range(1800, 2000, 10))
    assert life.states == ["firing", "resolved"]


def test_an_incident_without_data_says_so_once() -> None:
    """Ten minutes of nothing: nobody can say that it still fires, nor that it does not."""
    life = Life()
    life.look("true", 0, 5)
    assert life.unknown("n", *range(10, 605, 5)) == []
    assert life.unknown("n", 605) == ["no_data"]
    assert life.unknown("n", *range(610, 5000, 10)) == []
    assert (life.state.state, life.said[-1].transition_id) == ("no_data", digest(life.said[0].incident_key, "no_data", now_at(610)))
    assert life.said[-1].summary == "Errors has no data: error_rate 10 % (10 of 100)"


@pytest.mark.parametrize("held_by", ["partitions", "pipeline", "warehouse", "history", "expected"])
def test_waiting_for_the_pipeline_is_not_being_without_data(held_by: str) -> None:
    """What has not been read says nothing of whether it is there."""
    life = Life()
    life.look("true", 0)
    assert life.unknown(held_by, *range(10, 3000, 10)) == []
    assert life.unknown("n", 3000) == ["no_data"]


@pytest.mark.parametrize("held_by", ["errors", "confidence"])
def test_too_little_evidence_is_data(held_by: str) -> None:
    """Events come in, and they do not end the incident: it is not without data, and no longer so."""
    life = Life()
    life.look("true", 0)
    assert life.unknown(held_by, *range(10, 1200, 10)) == []
    assert life.unknown("n", *range(1200, 1790, 10)) == []
    assert life.unknown("n", 1790) == ["no_data"]
    assert life.unknown(held_by, 1800) == ["firing"]


def test_data_that_comes_back_makes_it_fire_again_or_ends_it() -> None:
    """Each return is a transition of its own, however often it happens; false ends it at once: it was last true long ago."""
    life = Life()
    life.look("true", 0)
    assert life.unknown("n", 600) == ["no_data"]
    assert life.look("true", 700) == ["firing"]
    assert life.unknown("n", 1300) == ["no_data"]
    assert life.look("true", 1400) == ["firing"]
    assert life.unknown("n", 2000) == ["no_data"]
    assert life.look("false", 2100) == ["resolved"]
    assert len({alert.transition_id for alert in life.said}) == len(life.said)
    assert {alert.incident_key for alert in life.said} == {life.said[0].incident_key}


def test_an_acknowledged_incident_stays_so_until_it_is_over() -> None:
    """True, false for a while, without data: somebody works on it; its numbers stay those it was last published with."""
    life = Life()
    life.look("true", 0)
    life.ack(5)
    life.look("true", 10)
    life.look("false", 20)
    life.look("true", 30)
    life.unknown("n", *range(40, 3000, 10))
    assert life.states == ["firing", "acknowledged"]
    assert life.look("false", 3000) == ["resolved"]
    fired, acked, _ = life.said
    assert acked.transition_id == digest(fired.incident_key, "acknowledged", "c-1")
    changed = {"transition_id", "state", "at", "summary", "reason"}
    assert acked.model_dump(exclude=changed) == fired.model_dump(exclude=changed)
    assert acked.summary == "Errors: acknowledged by alice"


def test_an_acknowledgement_can_be_taken_back_and_given_again() -> None:
    """Each command is a transition; one that changes nothing is none."""
    life = Life()
    life.unack(0)
    life.ack(0)
    assert life.said == []
    life.look("true", 1)
    life.unack(2)
    for number, at_s in enumerate((10, 30, 50)):
        life.ack(at_s, f"ack-{number}")
        life.ack(at_s + 1, "again")
        life.unack(at_s + 10, f"unack-{number}")
    assert life.states == ["firing"] + ["acknowledged", "firing"] * 3
    assert len({alert.transition_id for alert in life.said}) == len(life.said)


def test_an_incident_without_data_can_be_acknowledged() -> None:
    """The acknowledgement is what is said of it; taken back, it is without data again at the next look."""
    life = Life()
    life.look("true", 0)
    life.unknown("n", 600)
    life.ack(601)
    life.unknown("n", 610)
    life.unack(620)
    life.unknown("n", 630)
    assert life.states == ["firing", "no_data", "acknowledged", "firing", "no_data"]


@pytest.mark.parametrize(("late_s", "states"), [(905, ["firing", "resolved"]), (905.001, ["retro_fired", "retro_cleared"])])
def test_what_ended_over_fifteen_minutes_ago_pages_nobody(late_s: float, states: list[str]) -> None:
    """True at 5 s in the window that ends at 10 s: judged at 910 s it fires, a millisecond later it would have."""
    life = Life()
    life.look("true", 5, late_s=late_s)
    life.look("false", 65, late_s=late_s)
    assert life.states == states


def test_what_was_found_late_and_lasts_fires_after_all() -> None:
    """One incident: the transition to firing has the id it would have had in time."""
    life = Life()
    life.look("true", 0, late_s=1000)
    life.ack(1001)
    life.look("true", 200, late_s=800)
    assert life.states == ["retro_fired", "firing"]
    assert life.said[1].transition_id == digest(life.said[0].incident_key, "firing")
    assert life.said[1].since == life.said[0].since


def test_series_have_incidents_of_their_own() -> None:
    """The key is of rule, series and first window; what the rule is labelled with is said, and names nothing."""
    rule = a_rule(by=["host"], labels={"team": "ops"}, condition="cpu > 80%")
    web, db = Life(rule, WEB_1), Life(rule, (("host", "db-1"),))
    web.look("true", 5)
    db.look("true", 5)
    assert web.said[0].incident_key == incident_key("Errors", {"host": "web-1"}, now_at(10)) != db.said[0].incident_key
    assert web.said[0].labels == {"team": "ops", "host": "web-1"}
    assert web.said[0].summary.startswith("Errors (host web-1) fires: cpu ")


def test_repeats_and_what_lies_inside_an_incident_that_is_over_are_old_news() -> None:
    """Restored from a topic that says everything twice, and shown again what made it: nothing is said."""
    life = Life(a_rule(window="1m"))
    life.look("true", 100, 110)
    life.look("false", 170)
    assert life.states == ["firing", "resolved"]
    again = life.restarted()
    assert again.look("true", 40, 100, 110, 170) == []
    assert again.look("true", 39) == ["firing"]


def test_an_incident_that_ends_within_a_pane_is_not_followed_by_one_of_the_same_name() -> None:
    """`keep_firing_for: 0s`: true again in the same ten seconds is the same breach."""
    life = Life(a_rule(keep_firing_for="0s", window="10s"))
    life.look("true", 1)
    life.look("false", 2)
    assert life.look("true", 3, 9.9) == []
    assert life.look("true", 11) == ["firing"]
    assert life.said[0].incident_key != life.said[2].incident_key


def test_restarting_goes_on_where_it_was() -> None:
    """What is open stays open, in its state; what is seen again of the past says nothing."""
    life = Life(a_rule(keep_firing_for="30s"))
    life.look("true", 0)
    life.ack(5)
    again = life.restarted()
    for second in range(0, 100, 10):
        again.state = lifecycle.observe(again.state, look(again.rule, "true", second))
    assert again.state.state == "acknowledged"
    assert again.look("false", 119) == []
    assert again.look("false", 120) == ["resolved"]


def test_pending_is_rebuilt_by_observing() -> None:
    """Killed two minutes into `for: 5m`, it fires when it would have, under the same name."""
    straight, killed = Life(a_rule(for_="5m")), Life(a_rule(for_="5m"))
    for second in range(0, 120, 10):
        killed.state = lifecycle.observe(killed.state, look(killed.rule, "true", second))
    assert killed.state.state == "pending"
    assert killed.look("true", *range(120, 300, 10)) == straight.look("true", *range(0, 300, 10)) == []
    assert killed.look("true", 300) == straight.look("true", 300) == ["firing"]
    assert killed.said == straight.said


def test_a_restart_gives_an_open_incident_the_benefit_of_the_doubt() -> None:
    """`keep_firing_for: 24h`: whether it was true an hour ago is not known any more, so the day begins with the first look."""
    life = Life(a_rule(keep_firing_for="24h"))
    life.look("true", 0)
    again, day = life.restarted(), 86_400
    assert again.look("false", day + 100, 2 * day + 99) == []
    assert again.look("false", 2 * day + 100) == ["resolved"]
    quiet = life.restarted()
    assert quiet.unknown("n", 5000, 5599) == []
    assert quiet.unknown("n", 5600) == ["no_data"]


def test_looks_from_before_a_published_transition_do_not_undo_it() -> None:
    """Restarted behind, with the topic ahead: what was true before the silence began is not data that has come back."""
    life = Life()
    life.look("true", *range(0, 100, 10))
    life.unknown("n", *range(100, 700, 10))
    assert life.states == ["firing", "no_data"]
    again = life.restarted()
    again.look("true", *range(0, 100, 10))
    again.unknown("n", *range(100, 900, 10))
    assert again.said == []
    assert again.look("true", 900) == ["firing"]


def test_the_past_stands_as_it_was_whatever_is_known_by_now() -> None:
    """Before, pending, open, over: from the topic alone, for an incident that lasts and for one that is over."""
    life = Life(a_rule(for_="1m", keep_firing_for="30s"))
    life.look("true", *range(100, 200, 10))
    life.look("false", *range(200, 230, 10))
    key = life.said[0].incident_key
    for at_s, state in ((90, "inactive"), (100, "pending"), (150, "pending"), (160, "firing"), (219, "firing"), (220, "inactive")):
        stood = life.restarted().state.at(now_at(at_s))
        assert (at_s, stood.state, stood.incident_key) == (at_s, state, key if state == "firing" else None)
    lasting = Life(life.rule, said=life.said[:1]).restarted().state
    assert [lasting.at(now_at(at_s)).state for at_s in (90, 100, 159, 160, 900)] == ["inactive", "pending", "pending", "firing", "firing"]


def test_what_was_found_about_an_incident_is_said_until_its_end() -> None:
    """Attached once, it is in every later alert."""
    life, context = Life(), Context(error_classes=(ErrorClass(error_type="Timeout", count=7),))
    assert lifecycle.attach(life.state, context) == life.state
    life.look("true", 0)
    life.state = lifecycle.attach(life.state, context)
    life.ack(1)
    life.look("false", 100)
    assert [alert.context for alert in life.said] == [None, context, context]
    assert life.restarted().state.open is None
