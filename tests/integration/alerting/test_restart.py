from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.alerting.own_config import MENUS, SLOW, write_config
from tests.integration.alerting.paging import acknowledge, events, slow_outage, steps, there_are
from tests.integration.alerting.roles import environment, eventually, read_topic, role, traffic, until

LAST_STEP_S = 20.0


async def test_a_step_comes_on_time_though_its_alerter_was_killed_and_none_comes_for_who_was_acknowledged_meanwhile(
    broker: str, tmp_path: Path
) -> None:
    """SIGKILL between two steps, another alerter 1 s later: the last step leaves within a second of its time, once; the acknowledgement
    that was written while no alerter ran is obeyed before any step of its incident."""
    env = environment(broker, config=write_config(tmp_path / "config", last_step=f"{LAST_STEP_S:.0f}s"))
    async with traffic(broker) as load:
        with role("alerter", env, tmp_path) as first:
            await until(first.ready, "ready")
            await slow_outage(load)
            for rule in (MENUS, SLOW):
                await eventually(there_are(3, broker, rule), 10, f"{rule} has paged slack-critical and dev-team")
            first.kill()
        (slow_opened, *_) = await events(broker, SLOW)
        await acknowledge(broker, slow_opened["incident_key"])
        with role("alerter", env, tmp_path) as second:
            await eventually(there_are(4, broker, MENUS), 30, "the last step")
            assert second.stop() == 0
    of_menus, of_slow = await events(broker, MENUS), await events(broker, SLOW)
    assert steps(of_menus) == [("opened", None), ("step_due", "slack-critical"), ("step_due", "dev-team"), ("step_due", "ceo")]
    assert steps(of_slow) == [("opened", None), ("step_due", "slack-critical"), ("step_due", "dev-team"), ("acked", None)]
    opened, at = (datetime.fromisoformat(one["at"]).timestamp() for one in (of_menus[0], of_menus[-1]))
    assert LAST_STEP_S <= at - opened < LAST_STEP_S + 1
    acknowledged = [alert["state"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == SLOW]
    assert acknowledged == ["firing", "acknowledged"]
    heartbeats = [decision for decision in await read_topic(broker, "decisions.v1") if decision["kind"] == "heartbeat"]
    assert len({decision["decision_id"] for decision in heartbeats}) == len(heartbeats) >= 2


@pytest.mark.long
async def test_an_incident_that_came_and_went_while_no_alerter_ran_pages_nobody(broker: str, tmp_path: Path) -> None:
    """All that is in the log at the start is judged before anybody is paged: it is on record as opened and resolved, and that is all."""
    env = environment(broker, config=write_config(tmp_path / "config", last_step="20s"))
    async with traffic(broker) as load:
        await slow_outage(load)
        for start in range(60, 180, 10):
            await load.pane(start)
        with role("alerter", env, tmp_path) as alerter:
            await until(lambda: any(line["event"] == "acts" for line in alerter.lines()), "it acts")
            assert alerter.stop() == 0
    assert [alert["state"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS] == ["firing", "resolved"]
    assert steps(await events(broker, MENUS)) == [("opened", None), ("resolved", None)]


@pytest.mark.long
async def test_a_standby_that_comes_and_goes_costs_the_other_one_nothing(broker: str, tmp_path: Path) -> None:
    """Nobody has acted meanwhile: the state is kept instead of being read again, and an incident that spans both is told of once."""
    env = environment(broker, config=write_config(tmp_path / "config", last_step="60s"))
    async with traffic(broker) as load:
        with role("alerter", env, tmp_path) as alerter:
            await until(lambda: any(line["event"] == "acts" for line in alerter.lines()), "it acts")
            for start in range(0, 50, 10):
                await load.pane(start)
            with role("alerter", env, tmp_path) as standby:
                await until(lambda: standby.ready() and alerter.ready(), "both are ready")
                assert standby.stop() == 0
            await until(lambda: alerter.active() and any(line["event"] == "state is kept" for line in alerter.lines()), "it goes on")
            await load.pane(50, good=0, failed=40, failed_ms=200_000)
            await eventually(there_are(3, broker, MENUS), 10, "slack-critical and dev-team are paged")
            assert alerter.stop() == 0
            assert sum(line["event"] == "state is loaded" for line in alerter.lines()) == 1
    assert steps(await events(broker, MENUS)) == [("opened", None), ("step_due", "slack-critical"), ("step_due", "dev-team")]
