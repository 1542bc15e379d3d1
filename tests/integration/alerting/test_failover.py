from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.alerting.roles import environment, outage_and_recovery, read_topic, role, the_active, traffic, until
from tests.receivers.pagerduty import pagerduty
from tests.receivers.slack import slack

MENUS = "Menu Generation Critical"


def headlines(bodies: list[Any]) -> list[str]:
    return [body["blocks"][0]["text"]["text"] for body in bodies]


async def critical_lines(broker: str) -> list[tuple[str, str, str]]:
    """Receiver, action and outcome of what deliveries.v1 says of the rule's own channels."""
    deliveries = await read_topic(broker, "deliveries.v1")
    return [(d["receiver"], d["action"], d["outcome"]) for d in deliveries if d["receiver"] in {"slack-critical", "pagerduty"}]


async def test_one_page_and_one_resolution_though_both_are_killed_in_the_middle(broker: str, tmp_path: Path) -> None:
    """Two alerters and two notifiers; the active ones get SIGKILL while the incident lasts; everybody is told of it once."""
    async with slack() as slack_server, pagerduty() as pagerduty_server, traffic(broker) as load:
        env = environment(broker, slack_server, pagerduty_server)
        with ExitStack() as processes:
            roles = {
                name: [processes.enter_context(role(name, env, tmp_path, faust=number == 1)) for number in range(2)]
                for name in ("alerter", "notifier")
            }
            every = [*roles["alerter"], *roles["notifier"]]
            await until(lambda: all(one.ready() for one in every), "four roles are ready")

            async def kill_the_active_ones() -> None:
                await slack_server.wait_for(1, 20)
                await pagerduty_server.wait_for(1, 20)
                for pair in roles.values():
                    (await the_active(pair)).kill()

            await outage_and_recovery(load, kill_the_active_ones)
            await slack_server.wait_for(2, 40)
            await pagerduty_server.wait_for(2, 40)
            deadline = time.monotonic() + 30
            while len(await critical_lines(broker)) < 8 and time.monotonic() < deadline:  # an outcome follows its answer
                await asyncio.sleep(0.2)
            survivors = [one for one in every if one.process.poll() is None]
            assert len(survivors) == 2
            assert [one.stop() for one in survivors] == [0, 0]
        assert headlines(slack_server.accepted()) == [f"CRITICAL: {MENUS} fires", f"CRITICAL: {MENUS} is resolved"]
        assert [body["event_action"] for body in pagerduty_server.accepted()] == ["trigger", "resolve"]
        assert len({body["dedup_key"] for body in pagerduty_server.accepted()}) == 1
        assert [request.violations for request in slack_server.received + pagerduty_server.received] == [[], [], [], []]
    alerts = [alert for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS]
    assert [alert["state"] for alert in alerts] == ["firing", "resolved"]
    assert Counter(await critical_lines(broker)) == {
        (receiver, action, outcome): 1
        for receiver in ("slack-critical", "pagerduty")
        for action in ("trigger", "resolve")
        for outcome in ("intended", "delivered")
    }


@pytest.mark.long
async def test_a_page_that_was_under_way_when_its_notifier_died_is_sent_again_and_says_so(broker: str, tmp_path: Path) -> None:
    """Slack hangs, the notifier gets SIGKILL: intent without outcome. The next one sends it again under the same key."""
    async with slack() as slack_server, traffic(broker) as load:
        env = environment(broker, slack_server)
        with role("alerter", env, tmp_path) as alerter, role("notifier", env, tmp_path) as first:
            await until(lambda: alerter.ready() and first.ready(), "both are ready")
            slack_server.misbehave({"hang_s": 60})

            async def kill() -> None:
                await until(lambda: slack_server.received, "the page is under way")
                first.kill()

            await outage_and_recovery(load, kill)
            with role("notifier", env, tmp_path) as second:
                await slack_server.wait_for(2, 40)
                assert second.stop() == 0
        page, resolution = slack_server.accepted()
        assert "Sent again" in json.dumps(page)
        assert "Sent again" not in json.dumps(resolution)
    deliveries = [d for d in await read_topic(broker, "deliveries.v1") if d["receiver"] == "slack-critical" and d["action"] == "trigger"]
    assert [(d["outcome"], d["resent"]) for d in deliveries] == [("intended", False), ("delivered", True)]
    assert len({d["delivery_id"] for d in deliveries}) == 1
