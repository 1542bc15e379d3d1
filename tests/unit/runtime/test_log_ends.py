from __future__ import annotations

from pipeline.runtime.log_ends import LogEnds


def test_nothing_is_claimed_before_an_end_is_known() -> None:
    """Without an answer of the broker nobody can be caught up."""
    assert LogEnds().caught_up_at_ms(10**9) is None


def test_an_idle_reader_is_caught_up_as_of_each_question() -> None:
    """The end does not move, so each answer moves the time on."""
    ends = LogEnds()
    ends.learn(5, 1_000)
    assert ends.caught_up_at_ms(5) == 1_000
    ends.learn(5, 2_000)
    assert ends.caught_up_at_ms(5) == 2_000


def test_a_reader_behind_the_end_claims_only_what_it_has_reached() -> None:
    """Position 100 covers the end known at 1 s, not the one known at 2 s; without new answers time stands still."""
    ends = LogEnds()
    ends.learn(90, 1_000)
    ends.learn(110, 2_000)
    assert ends.caught_up_at_ms(89) is None
    assert ends.caught_up_at_ms(100) == 1_000
    assert ends.caught_up_at_ms(109) == 1_000
    assert ends.caught_up_at_ms(110) == 2_000


def test_a_reader_far_behind_costs_bounded_memory_and_catches_up_in_the_end() -> None:
    """Questions of days behind a backlog are forgotten, the newest are kept."""
    ends = LogEnds()
    for second in range(100_000):
        ends.learn(1_000 + second, second * 1_000)
    assert len(ends._ahead) <= 1_000
    assert ends.caught_up_at_ms(1_000) is None
    assert ends.caught_up_at_ms(200_000) == 99_999_000
