from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path

import pytest

from pipeline.cli.main import run
from pipeline.runtime.topics_admin import ensure_topics
from tests.integration.alerting.roles import environment, eventually, read_topic, role, traffic, until
from tests.integration.console.consoles import PAGERDUTY, SLACK, Client, console, settings
from tests.stack_fixtures import embedded_broker
from tests.unit.console.signing import pagerduty_event, pagerduty_headers, pressed, slack_headers

MENUS = "Menu Generation Critical"


async def escalated(broker: str, event: str) -> list[str]:
    """Who did it, each time."""
    events = {one["escalation_id"]: one for one in await read_topic(broker, "escalations.v1") if one["rule"] == MENUS}
    return [one["actor"] for one in events.values() if one["event"] == event]


@pytest.mark.long
async def test_what_people_do_in_slack_and_pagerduty_is_obeyed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An incident of a real alerter: acknowledged by a button, taken back by a webhook, each sent twice to two consoles; then its story."""
    with embedded_broker(tmp_path / "kafka") as broker, role("alerter", environment(broker), tmp_path) as alerter:
        await ensure_topics(broker)
        async with traffic(broker) as load, console(settings(broker)) as one, console(settings(broker)) as other:
            await until(alerter.ready, "the alerter is ready", 60)
            for start in range(0, 50, 10):
                await load.pane(start)
            await load.pane(50, good=0, failed=40)
            await until(lambda: any(line["event"] == "alert" and line["rule"] == MENUS for line in alerter.lines()), "it fires")
            key = str(next(alert["incident_key"] for alert in await read_topic(broker, "alerts.v1") if alert["rule"] == MENUS))
            for client in (one, other):
                await client.ready()
                await eventually(partial(_shows, client, key[:12]), 10, "it is on the page")

            button = pressed(("ack", key))
            for client, age_s in ((one, 0), (one, 1), (other, 0)):
                answer = await client.post("/webhooks/slack", button, slack_headers(SLACK, button, int(time.time()) - age_s))
                assert answer.status == 200
            await eventually(lambda: escalated(broker, "acked"), 10, "it is acknowledged")
            await eventually(lambda: _shows(other, "acknowledged</span>"), 10, "the page says so")

            event = pagerduty_event("incident.unacknowledged", key)
            for client in (one, one, other):
                answer = await client.post("/webhooks/pagerduty", event, pagerduty_headers(event, PAGERDUTY[1]))
                assert answer.status == 200
            await eventually(lambda: escalated(broker, "unacked"), 10, "it is taken back")

            # Whatever is obeyed next has been read after all of these.
            last = pressed(("ack", key), user={"id": "U9", "name": "bob"}, action_ts="1795600099.000001")
            await one.post("/webhooks/slack", last, slack_headers(SLACK, last, int(time.time())))

            async def by_bob() -> bool:
                return "bob" in await escalated(broker, "acked")

            await eventually(by_bob, 10, "it is acknowledged again")
            assert await escalated(broker, "acked") == ["alice", "bob"]
            assert await escalated(broker, "unacked") == ["Tenex Engineer (PagerDuty)"]
        monkeypatch.setenv("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", broker)
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        assert await asyncio.to_thread(run, ["alerts", "show", key[:12], "--format", "json"]) == 0
        story = json.loads(capsys.readouterr().out)
    assert (story["incident"]["state"], story["incident"]["acked_by"]) == ("acknowledged", "bob")
    assert 0 < story["acknowledged_after_ms"] < 30_000
    told = [entry["what"] for entry in story["timeline"] if entry["kind"] == "escalation"]
    assert [what for what in told if what in ("opened", "acked", "unacked")] == ["opened", "acked", "unacked", "acked"]


async def _shows(client: Client, text: str) -> bool:
    return text in (await client.get("/"))[1]
