from __future__ import annotations

import json

import aiohttp
import pytest
from pydantic import SecretStr

from alerting.notify.receiver import Attempt
from alerting.notify.ticket import TicketReceiver, ticket
from alerting.notify.webhook import WebhookReceiver
from schemas.escalation import parse_escalation
from tests.contract.notify.incidents import notification, of_a_group
from tests.receivers.ticket import service, ticket_violations, tracker

URL = SecretStr("http://127.0.0.1:1/s3cret")


async def test_an_issue_is_created_once_and_completed_once() -> None:
    """Linear's shape, the same id for beginning and end."""
    async with tracker() as receiver, aiohttp.ClientSession() as session:
        tickets = TicketReceiver(session, SecretStr(receiver.url + "/hook"), None)
        for action in ("trigger", "resolve"):
            assert (await tickets.send(notification(action, "linear-tickets"))).outcome == "delivered"
    created, completed = receiver.accepted()
    assert (created["action"], created["data"]["state"]["type"]) == ("create", "triage")
    assert (completed["action"], completed["data"]["state"]["type"]) == ("update", "completed")
    assert created["data"]["id"] == completed["data"]["id"]
    assert created["data"]["priorityLabel"] == "Urgent"
    assert {label["name"] for label in created["data"]["labels"]} == {"Menu Generation Critical", "critical", "menu-team"}
    assert "telemetry alerts ack" in created["data"]["description"]


@pytest.mark.parametrize(("severity", "priority"), [("critical", 1), ("high", 2), ("medium", 3), ("low", 4)])
def test_priorities_are_linears(severity: str, priority: int) -> None:
    """1 is urgent, 4 is low."""
    assert ticket(notification(severity=severity))["data"]["priority"] == priority


def test_the_issues_of_a_day_are_one_that_lists_them() -> None:
    """A digest is a group; its text stays within bounds, whatever is in it."""
    body = ticket(of_a_group(50, receiver="linear-tickets"))
    assert body["data"]["description"].count("cpu of web-") >= 50
    worst = ticket(notification(summary="x" * 100_000, sql="y" * 100_000))
    assert ticket_violations("application/json", worst) == []
    assert len(worst["data"]["description"]) <= 20_000


async def test_a_service_of_ones_own_gets_everything_with_a_key_and_a_token() -> None:
    """The event as it is on escalations.v1, how the group stands, and what makes a repeat harmless."""
    sent = of_a_group(3, receiver="hook")
    async with service() as receiver, aiohttp.ClientSession() as session:
        hook = WebhookReceiver(session, SecretStr(receiver.url), SecretStr("s3cret"))
        assert (await hook.send(sent)).outcome == "delivered"
        assert receiver.received[0].headers["Idempotency-Key"] == sent.delivery_id
        assert receiver.received[0].headers["Authorization"] == "Bearer s3cret"
    (body,) = receiver.accepted()
    assert (body["action"], body["status"], body["incidents_total"]) == ("trigger", "firing", 3)
    assert parse_escalation(json.dumps(body["event"]).encode()) == sent.event


async def test_an_address_that_is_away_is_asked_again_and_not_told() -> None:
    """Its text may be a secret."""
    async with aiohttp.ClientSession() as session:
        attempts = [await kind(session, URL, None).send(notification()) for kind in (TicketReceiver, WebhookReceiver)]
    assert attempts == [Attempt("retry", reason="no connection: ClientConnectorError")] * 2
