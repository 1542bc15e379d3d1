from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.chaos.faults import BOUNDARIES, EFFECTS, Kind, Order, Point, as_json
from tests.chaos.schedule import FROZEN_S, boundaries_of, schedule, workers_of

SEEDS = range(1, 21)
SESSION_TIMEOUT_S = 10


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    """A red seed can be run again."""
    assert schedule(7, 60, 2) == schedule(7, 60, 2)
    assert schedule(7, 60, 2) != schedule(8, 60, 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_minute_has_every_kind(seed: int) -> None:
    """No seed leaves a kind of fault out, and none begins after the load."""
    faults = schedule(seed, 60, workers_of(seed))
    assert {fault.kind for fault in faults} == set(Kind)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert all(0 <= fault.at_s <= 60 + 30 for fault in faults)
    assert all(0 <= fault.worker < workers_of(seed) for fault in faults)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_zombie_wakes_up_after_its_session_while_the_broker_lives(seed: int) -> None:
    """The worker frozen before a commit is expelled meanwhile: nobody kills it, and the broker lives as long as it sleeps."""
    for seconds in (20, 60):
        faults = schedule(seed, seconds, workers_of(seed))
        (sleeper,) = [fault for fault in faults if fault.order == Order("freeze", Point("before", "commit")) and fault.seconds][:1]
        assert SESSION_TIMEOUT_S < FROZEN_S[0] <= sleeper.seconds <= FROZEN_S[1]
        wakes_s = sleeper.at_s + sleeper.seconds
        others = [fault for fault in faults if fault is not sleeper and sleeper.at_s - 10 <= fault.at_s <= wakes_s]
        assert not any(fault.kind is Kind.BROKER and fault.at_s + fault.seconds > sleeper.at_s for fault in others)
        at_workers = {Kind.KILL, Kind.KILL_AT, Kind.TERMINATE, Kind.FREEZE, Kind.FREEZE_AT}
        assert all(fault.worker != sleeper.worker for fault in others if fault.kind in at_workers and fault.at_s >= sleeper.at_s)


def test_twenty_seeds_kill_between_every_pair_of_effects_several_times() -> None:
    """Seeds that follow each other go round the boundaries."""
    drawn = Counter(
        str(fault.order.point) for seed in SEEDS for fault in schedule(seed, 60, 2) if fault.kind is Kind.KILL_AT and fault.order
    )
    assert {str(point) for point in BOUNDARIES} <= set(drawn)
    assert min(drawn.values()) >= 4
    assert len(BOUNDARIES) == len(EFFECTS) + 1
    assert boundaries_of(1) != boundaries_of(2)


def test_seeds_take_turns_with_two_and_three_workers() -> None:
    """Both group sizes are attacked alike."""
    assert Counter(workers_of(seed) for seed in SEEDS) == {2: 10, 3: 10}


def test_longer_runs_repeat_every_kind_and_short_ones_still_kill() -> None:
    """Two minutes have twice what one has; twenty seconds have a zombie and kills at effects."""
    assert all(count >= 2 for count in Counter(fault.kind for fault in schedule(3, 120, 3)).values())
    assert {fault.kind for fault in schedule(3, 20, 3)} >= {Kind.FREEZE_AT, Kind.KILL_AT, Kind.GATEWAY_AT, Kind.HANG}


def test_a_schedule_can_be_read_by_people_and_programs() -> None:
    """One JSON object a line; orders are texts that a process parses again."""
    faults = schedule(5, 60, 3)
    lines = [json.loads(line) for line in as_json(faults).splitlines()]
    assert [line["kind"] for line in lines] == [fault.kind for fault in faults]
    for fault in faults:
        assert fault.order is None or Order.parse(str(fault.order)) == fault.order
        assert fault.kind in str(fault)


def test_an_order_that_is_none_is_refused() -> None:
    """A typing error must not pass for a run without faults."""
    with pytest.raises(ValueError, match="not an order"):
        Order.parse("kill after panes 1")
