from __future__ import annotations

import pytest

from tests.bench.open_incidents import measure


@pytest.mark.long
def test_a_round_of_judging_grows_with_the_incidents_and_no_faster() -> None:
    """Eight times as many open incidents take eight times as long; were every one compared with every other, it would be 64 times."""
    few, many = measure(100, rounds=3), measure(800, rounds=3)
    assert (few.open_incidents, many.open_incidents) == (100, 800)
    for few_rounds, many_rounds in ((few.rounds, many.rounds), (few.quiet_rounds, many.quiet_rounds)):
        fastest = [min(one.judging_s for one in rounds) for rounds in (few_rounds, many_rounds)]
        assert fastest[1] < 24 * fastest[0]
