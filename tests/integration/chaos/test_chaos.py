from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import Options, attacked
from tests.chaos.schedule import schedule

SEED = 4
SECONDS = 18.0


@pytest.mark.timeout(240)
async def test_a_short_seed_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    """Under load two workers die at effects, one is a zombie, the warehouse hangs, the gateway dies: every law of the oracle holds."""
    options = Options(SEED, SECONDS, workers=2, with_alerts=False)
    outcome = await attacked(options, tmp_path, schedule(SEED, SECONDS, 2))
    assert outcome.differences == ()
    assert outcome.missing == [], "the run proves nothing"
