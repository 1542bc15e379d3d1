from __future__ import annotations

import pytest

from alerting.freeze import FROZEN_S, FreezeWatch


class HandClock:
    seconds = 100.0

    def now_ms(self) -> int:
        return round(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize("look_first", [False, True])
def test_a_freeze_is_noticed_by_whatever_runs_first_and_until_the_state_is_read_again(look_first: bool) -> None:
    """Asked before or after the watch itself has woken, the answer is the same, and it does not wear off by itself."""
    clock = HandClock()
    watch = FreezeWatch(clock)
    for _ in range(20):
        clock.seconds += 0.6
        watch.look()
    seen = [watch.frozen]
    clock.seconds += FROZEN_S + 0.1
    if look_first:
        watch.look()
    seen.append(watch.frozen)
    for _ in range(20):
        clock.seconds += 0.6
        watch.look()
    seen.append(watch.frozen)
    watch.thawed()
    assert [*seen, watch.frozen] == [False, True, True, False]
