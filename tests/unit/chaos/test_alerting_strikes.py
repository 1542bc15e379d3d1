from __future__ import annotations

import pytest

from alerting.config.load import load_config
from alerting.engine.judge import Judge
from tests.chaos.alerting.config import write_config
from tests.chaos.alerting.script import FAILS, HOT, PARTITIONS, WELL_S, Incident, Workers, incidents
from tests.chaos.alerting.strikes import ASLEEP_S, PLACES, ROLES, Kind, strikes
from tests.unit.alerting.traffic import T0_MS

SEEDS = range(1, 11)
SESSION_TIMEOUT_S = 10


def test_the_same_seed_strikes_alike_and_another_one_otherwise() -> None:
    """A red seed can be run again."""
    assert strikes(3, 140) == strikes(3, 140)
    assert strikes(3, 140) != strikes(4, 140)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_seed_kills_and_freezes_both_roles_and_sleepers_oversleep_their_session(seed: int) -> None:
    """Of both roles there is every kind; who is frozen sleeps for longer than the broker waits for it."""
    found = strikes(seed, 140)
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert {(one.role, one.kind) for one in found} == {(role, kind) for role in ROLES for kind in Kind}
    for one in found:
        assert one.at_s <= 140
        assert (one.asleep_s > 0) == (one.kind in (Kind.FREEZE, Kind.FREEZE_AT))
        assert not one.asleep_s or SESSION_TIMEOUT_S < ASLEEP_S[0] <= one.asleep_s <= ASLEEP_S[1]
        assert not one.place or one.place in PLACES[one.role]
        assert str(one.kind) in str(one)


def test_ten_seeds_strike_at_every_place() -> None:
    """Between Kafka and receivers there is no gap where nobody dies or sleeps."""
    struck = {(one.role, one.place) for seed in SEEDS for one in strikes(seed, 140) if one.place}
    assert struck == {(role, place) for role in ROLES for place in PLACES[role]}


def test_incidents_are_as_many_as_wanted_each_of_a_series_of_its_own() -> None:
    """Fifty are fifty, some of hosts and most of apis, all of them within the time in which they may begin."""
    found = incidents(1, 50, 60)
    assert len({one.name for one in found}) == 50
    assert {one.rule for one in found} == {HOT, FAILS}
    assert all(0 <= one.from_s < 60 and one.partition < PARTITIONS for one in found)
    assert incidents(1, 50, 60) == found != incidents(2, 50, 60)


def test_what_is_broken_makes_its_rule_true_and_only_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The rules of the run, judged on its traffic: true within ten seconds of the fault, false again a window after it."""
    rules = load_config(write_config(tmp_path_factory.mktemp("chaos") / "config")).rules
    wrong = [Incident(HOT, "host", "host-1", 1, 5, 13), Incident(FAILS, "api", "api-2", 2, 5, 13)]
    well = [Incident(HOT, "host", "host-3", 3, 500, 501), Incident(FAILS, "api", "api-4", 4, 500, 501)]
    workers, judge, when = Workers(T0_MS, wrong + well), Judge(rules), dict[str, list[int]]()
    for at_s in range(-WELL_S, 90):
        for flush in workers.second(at_s):
            for judgement in judge.flush(flush, T0_MS + at_s * 1000):
                if judgement.verdict == "true":
                    when.setdefault(judgement.series[0][1], []).append(at_s)
    assert when.keys() == {"host-1", "api-2"}
    assert all(5 <= min(seconds) <= 15 and 55 <= max(seconds) <= 75 for seconds in when.values())
