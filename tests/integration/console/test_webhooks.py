from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from pipeline.console.webhooks import MAX_BODY_BYTES
from pipeline.embedded.ports import free_port
from pipeline.runtime.topics_admin import ensure_topics
from tests.integration.console.consoles import PAGERDUTY, SLACK, Client, commands_on, console, new_alert, publish, settings
from tests.unit.console.signing import pagerduty_event, pagerduty_headers, pressed, slack_headers


@pytest.fixture
async def incident(kafka: str) -> str:
    """The key of an incident that is open."""
    await ensure_topics(kafka)
    alert = new_alert()
    await publish(kafka, alert)
    return alert.incident_key


@pytest.fixture
async def client(kafka: str, incident: str) -> AsyncIterator[Client]:
    async with console(settings(kafka)) as client:
        await client.ready()
        yield client


async def test_a_button_is_acknowledged_when_kafka_has_its_command(client: Client, kafka: str, incident: str) -> None:
    """200 within Slack's three seconds, and by then the command can be read; the very same request is refused and sends nothing."""
    body = pressed(("ack", incident))
    headers = slack_headers(SLACK, body, int(time.time()))
    began_at = time.monotonic()
    answer = await client.post("/webhooks/slack", body, headers)
    assert time.monotonic() - began_at < 3
    (command,) = await commands_on(kafka, incident)
    assert (answer.status, answer.json) == (200, {"outcome": "sent", "command_ids": [command["command_id"]]})
    assert (command["action"], command["by"], command["schema_version"]) == ("ack", "alice", 1)
    replay = await client.post("/webhooks/slack", body, headers)
    assert (replay.status, replay.json["error"]) == (409, "replayed")
    assert len(await commands_on(kafka, incident)) == 1


async def test_a_press_that_comes_twice_is_one_command(client: Client, kafka: str, incident: str) -> None:
    """Signed anew it is taken again, with the same command_id: whoever obeys, obeys once."""
    body, now = pressed(("snooze", incident)), int(time.time())
    answers = [await client.post("/webhooks/slack", body, slack_headers(SLACK, body, now - age)) for age in (0, 1)]
    assert [answer.status for answer in answers] == [200, 200]
    assert len({command["command_id"] for command in await commands_on(kafka, incident)}) == 1


async def test_what_slack_did_not_send_now_is_refused(client: Client, kafka: str, incident: str) -> None:
    """Another secret, another body, an old request, none of it: 401, and no command."""
    body, now = pressed(("ack", incident)), int(time.time())
    good = slack_headers(SLACK, body, now)
    tries = {
        "invalid_signature": [slack_headers("guessed", body, now), {**good, "X-Slack-Signature": "v0=" + "0" * 64}],
        "stale_timestamp": [slack_headers(SLACK, body, now - 400), slack_headers(SLACK, body, now + 400), {}],
    }
    for code, all_headers in tries.items():
        for headers in all_headers:
            answer = await client.post("/webhooks/slack", body, headers)
            assert (answer.status, answer.json["error"]) == (401, code)
    other = await client.post("/webhooks/slack", pressed(("unack", incident)), good)
    assert (other.status, other.json["error"]) == (401, "invalid_signature")
    assert await commands_on(kafka, incident) == []


async def test_what_cannot_be_obeyed_is_answered_clearly(client: Client, kafka: str) -> None:
    """A malformed payload is 400 with the place, an unknown incident 404 with its key, a link in a message just 200."""
    now = int(time.time())
    for body, status, code, says in (
        (b"payload=%7B", 400, "invalid_payload", "Invalid JSON"),
        (pressed(("ack", "short")), 400, "invalid_payload", "incident_key"),
        (pressed(("ack", "0" * 64)), 404, "unknown_incident", "0" * 64),
    ):
        answer = await client.post("/webhooks/slack", body, slack_headers(SLACK, body, now))
        assert (answer.status, answer.json["error"]) == (status, code)
        assert says in answer.json["message"]
    link = pressed(("runbook", ""))
    answer = await client.post("/webhooks/slack", link, slack_headers(SLACK, link, now))
    assert (answer.status, answer.json["outcome"]) == (200, "ignored")
    assert await commands_on(kafka, "0" * 64) == []


async def test_pagerduty_is_obeyed_by_any_of_its_secrets_once_for_each_event(client: Client, kafka: str, incident: str) -> None:
    """200 within five seconds when Kafka has the command; the event again is 200 and nothing; another is a command of its own."""
    began_at = time.monotonic()
    for event_id, secret, outcome in (("e1", PAGERDUTY[0], "sent"), ("e1", PAGERDUTY[1], "repeated"), ("e2", PAGERDUTY[1], "sent")):
        kind = "incident.acknowledged" if event_id == "e1" else "incident.unacknowledged"
        body = pagerduty_event(kind, incident, event_id=f"{event_id}-{incident}")
        answer = await client.post("/webhooks/pagerduty", body, pagerduty_headers(body, "of another app", secret))
        assert (answer.status, answer.json["outcome"]) == (200, outcome)
    assert time.monotonic() - began_at < 5
    assert [(c["action"], c["command_id"]) for c in await commands_on(kafka, incident)] == [
        ("ack", f"pagerduty-e1-{incident}"),
        ("unack", f"pagerduty-e2-{incident}"),
    ]


async def test_what_pagerduty_did_not_send_is_refused_and_what_is_not_ours_ignored(client: Client, kafka: str, incident: str) -> None:
    """401 without a signature of ours; 400 for what is no webhook; 200 for incidents of other services, so that it goes on sending."""
    body = pagerduty_event("incident.acknowledged", incident)
    for headers in (pagerduty_headers(body, "guessed"), pagerduty_headers(body + b" ", PAGERDUTY[0]), {}):
        answer = await client.post("/webhooks/pagerduty", body, headers)
        assert (answer.status, answer.json["error"]) == (401, "invalid_signature")
    broken = await client.post("/webhooks/pagerduty", b"{}", pagerduty_headers(b"{}", PAGERDUTY[0]))
    assert (broken.status, broken.json) == (400, {"error": "invalid_payload", "message": "event: Field required"})
    for key, says in (("0" * 64, f"no incident has the key {'0' * 64}"), ("srv01/HTTP", "nothing of ours"), (None, "of ours")):
        body = pagerduty_event("incident.acknowledged", key)
        answer = await client.post("/webhooks/pagerduty", body, pagerduty_headers(body, PAGERDUTY[0]))
        assert (answer.status, answer.json["outcome"]) == (200, "ignored")
        assert says.split()[-1] in answer.json["message"]
    assert await commands_on(kafka, incident) == []


@pytest.mark.parametrize("path", ["/webhooks/slack", "/webhooks/pagerduty"])
async def test_bodies_are_bounded_before_they_are_believed(client: Client, path: str) -> None:
    """413 for one byte too many, declared or not; 408 for one that does not come; 405 for another method."""

    async def unfinished() -> AsyncIterator[bytes]:
        yield b"payload"
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    too_large = await client.post(path, b"x" * (MAX_BODY_BYTES + 1), {})
    assert (too_large.status, too_large.json["error"]) == (413, "body_too_large")
    assert (await client.post(path, b"x" * MAX_BODY_BYTES, {})).status == 401
    assert (await client.post(path, endless(), {})).status == 413
    assert (await client.post(path, unfinished(), {})).status == 408
    assert (await client.get(path))[0] == 405


async def test_a_webhook_without_a_secret_is_off(kafka: str, incident: str) -> None:
    """404, with the setting that switches it on; the other one works."""
    async with console(settings(kafka, slack_signing_secret=None)) as client:
        await client.ready()
        body = pressed(("ack", incident))
        answer = await client.post("/webhooks/slack", body, slack_headers("", body, int(time.time())))
        assert (answer.status, answer.json["error"]) == (404, "not_configured")
        assert "TELEMETRY_CONSOLE__SLACK_SIGNING_SECRET" in answer.json["message"]
        body = pagerduty_event("incident.acknowledged", incident)
        assert (await client.post("/webhooks/pagerduty", body, pagerduty_headers(body, PAGERDUTY[0]))).status == 200
    async with console(settings(kafka, pagerduty_secrets=[])) as client:
        await client.ready()
        answer = await client.post("/webhooks/pagerduty", body, pagerduty_headers(body, ""))
        assert (answer.status, answer.json["error"]) == (404, "not_configured")
        assert "TELEMETRY_CONSOLE__PAGERDUTY_SECRETS" in answer.json["message"]


async def test_without_kafka_nothing_is_acknowledged(incident: str) -> None:
    """503 with Retry-After, in time; the console says what it waits for, and its page that it knows nothing."""
    async with console(settings(f"127.0.0.1:{free_port()}")) as client:
        button, event = pressed(("ack", incident)), pagerduty_event("incident.acknowledged", incident)
        for path, body, headers in (
            ("/webhooks/slack", button, slack_headers(SLACK, button, int(time.time()))),
            ("/webhooks/pagerduty", event, pagerduty_headers(event, PAGERDUTY[0])),
        ):
            began_at = time.monotonic()
            answer = await client.post(path, body, headers)
            assert time.monotonic() - began_at < 3
            assert (answer.status, answer.json["error"]) == (503, "kafka_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert (await client.get("/readyz"))[0] == 503
        assert (await client.get("/healthz"))[0] == 200
        status, page = await client.get("/")
        assert (status, "No incident is open" in page) == (503, False)
