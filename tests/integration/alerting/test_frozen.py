from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.freezing import freeze
from tests.integration.alerting.own_config import MENUS, SLOW, write_config
from tests.integration.alerting.paging import acknowledge, events, slow_outage, steps, there_are
from tests.integration.alerting.roles import Role, environment, eventually, role, the_active, traffic, until

PAGED = [("opened", None), ("step_due", "slack-critical"), ("step_due", "dev-team")]


def has_noticed(sleeper: Role) -> bool:
    """It has read the topics again, or is out of the group."""
    said = ("state is read again", "left the group")
    return not sleeper.active() or any(words in line["event"] for line in sleeper.lines() for words in said)


@pytest.mark.long
async def test_an_alerter_that_slept_through_a_step_and_an_acknowledgement_sends_nothing_when_it_wakes(broker: str, tmp_path: Path) -> None:
    """SIGSTOP; another one takes over, obeys an acknowledgement, sends the other incident's last step; SIGCONT: neither comes again."""
    env = environment(broker, config=write_config(tmp_path / "config", last_step="20s"))
    async with traffic(broker) as load:
        with ExitStack() as processes:
            pair = [processes.enter_context(role("alerter", env, tmp_path)) for _ in range(2)]
            await until(lambda: all(one.ready() for one in pair), "both are ready")
            sleeper = await the_active(pair)
            other = next(one for one in pair if one is not sleeper)
            await slow_outage(load)
            for rule in (MENUS, SLOW):
                await eventually(there_are(3, broker, rule), 15, f"{rule} has paged slack-critical and dev-team")
            freeze(sleeper.process.pid)
            (slow_opened, *_) = await events(broker, SLOW)
            await acknowledge(broker, slow_opened["incident_key"])
            await eventually(there_are(4, broker, MENUS), 40, "the last step, by the other one")
            assert other.active()
            sleeper.signal(signal.SIGCONT)
            await until(lambda: has_noticed(sleeper), "it has noticed")
            assert [one.stop() for one in pair] == [0, 0]
    assert steps(await events(broker, MENUS)) == [*PAGED, ("step_due", "ceo")]
    assert steps(await events(broker, SLOW)) == [*PAGED, ("acked", None)]
