from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.alerting.run import Options, attacked


@pytest.mark.long
async def test_incidents_are_told_of_once_while_alerters_and_notifiers_are_killed_and_frozen(tmp_path: Path) -> None:
    """Twelve incidents, a dozen strikes, receivers that fail half of the time: no law is broken, and the strikes were felt."""
    outcome = await attacked(Options(seed=2, incidents=12, onsets_s=15, well_after_s=0), tmp_path)
    assert outcome.differences == ()
    assert outcome.missing == []
