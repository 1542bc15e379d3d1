from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import aiohttp
import httpx2
import pytest
from pagerduty import EventsApiV2Client
from pydantic import SecretStr

from alerting.notify.pagerduty import PagerDutyReceiver, pagerduty_event
from schemas.delivery import DeliveryAction
from tests.contract.notify.incidents import a_member, an_event, key, notification, told_of
from tests.receivers.pagerduty import pagerduty, violations

ROUTING_KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("action", ["trigger", "acknowledge", "resolve"])
async def test_pagerduty_accepts_every_kind_of_event(action: DeliveryAction) -> None:
    """Each event meets the Events API, as the receiver checks it, and is for the incident's key."""
    sent = notification(action, "pagerduty")
    async with pagerduty() as receiver, aiohttp.ClientSession() as session:
        attempt = await PagerDutyReceiver(session, SecretStr(receiver.url + "/v2/enqueue"), SecretStr(ROUTING_KEY)).send(sent)
    assert (attempt.outcome, attempt.http_status) == ("delivered", 202)
    (body,) = receiver.accepted()
    assert (body["event_action"], body["dedup_key"], body["routing_key"]) == (action, sent.event.incident_key, ROUTING_KEY)


def test_a_trigger_carries_the_alert_and_the_others_only_the_key() -> None:
    """Severity, summary, source and the evidence go with the trigger."""
    event = pagerduty_event(notification("trigger", "pagerduty"), ROUTING_KEY)
    payload = event["payload"]
    assert payload["severity"] == "critical"
    assert payload["summary"] == "CRITICAL: Menu Generation Critical fires: error_rate 7.692 % (400 of 5200)"
    assert payload["timestamp"] == "2026-11-23T10:00:51.000Z"
    details = payload["custom_details"]
    assert (details["numerator"], details["denominator"], details["watermark"]) == (400, 5200, "2026-11-23T10:00:47.900Z")
    assert details["sql"].startswith("SELECT countIf(outcome IN ('failed'))")
    assert set(pagerduty_event(notification("resolve", "pagerduty"), ROUTING_KEY)) == {"routing_key", "event_action", "dedup_key"}


@pytest.mark.parametrize(("severity", "theirs"), [("critical", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info")])
def test_severities_are_translated(severity: str, theirs: str) -> None:
    """PagerDuty has four of its own."""
    assert pagerduty_event(notification(severity=severity), ROUTING_KEY)["payload"]["severity"] == theirs


def test_what_is_too_large_goes_without_its_details() -> None:
    """A summary is cut at 1024 characters; beyond 512 KB the details are dropped rather than the page."""
    event = pagerduty_event(notification(summary="s" * 2000, sql="x" * 600_000), ROUTING_KEY)
    assert violations("application/json", event) == []
    assert len(event["payload"]["summary"]) == 1024
    assert list(event["payload"]["custom_details"]) == ["error"]


def test_a_runbook_is_linked_when_it_is_an_address() -> None:
    """Links must be https; a path in the repository is in the details."""
    assert "links" not in pagerduty_event(notification(), ROUTING_KEY)
    event = pagerduty_event(notification(runbook="https://runbooks.example/menus"), ROUTING_KEY)
    assert event["links"] == [{"href": "https://runbooks.example/menus", "text": "Runbook"}]
    assert violations("application/json", event) == []


def test_a_group_is_one_alert_of_the_worst_severity() -> None:
    """The key is the group's, for its end too; who is in it stands in the details."""
    members = tuple(a_member(f"web-{number}") for number in range(50))
    of_another = an_event("step_due", "web-7", group="web-0", target="pagerduty", members=members)
    event = pagerduty_event(told_of(of_another, "trigger", "pagerduty"), ROUTING_KEY)
    assert violations("application/json", event) == []
    assert event["dedup_key"] == key("web-0")
    assert event["payload"]["severity"] == "error"
    assert event["payload"]["summary"].startswith("HIGH: Menu Generation Critical (50 incidents) fires")
    assert len(event["payload"]["custom_details"]["incidents"]) == 50
    end = pagerduty_event(told_of(an_event("resolved", "web-7", group="web-0"), "resolve", "pagerduty"), ROUTING_KEY)
    assert (end["event_action"], end["dedup_key"]) == ("resolve", key("web-0"))


def test_pagerdutys_own_client_sends_the_same() -> None:
    """Their package, given the same facts, sends the bodies that we send, but for what we add."""
    trigger, resolve = (pagerduty_event(notification(action, "pagerduty"), ROUTING_KEY) for action in ("trigger", "resolve"))
    sent: list[Any] = []

    def enqueue(request: httpx2.Request) -> httpx2.Response:
        sent.append(json.loads(request.content))
        return httpx2.Response(202, json={"dedup_key": "as sent"})

    with closing(EventsApiV2Client(ROUTING_KEY, transport=httpx2.MockTransport(enqueue))) as client:  # it takes no address without TLS
        payload = dict(trigger["payload"])
        facts = {name: payload.pop(name) for name in ("summary", "source", "severity")}
        client.trigger(**facts, dedup_key=trigger["dedup_key"], payload=payload)
        client.resolve(resolve["dedup_key"])
    assert sent == [{name: value for name, value in trigger.items() if name != "client"}, resolve]


async def test_a_bad_event_is_refused_for_good() -> None:
    """400 is not tried again, and its reason is what PagerDuty says, without the key."""
    async with pagerduty() as receiver, aiohttp.ClientSession() as session:
        attempt = await PagerDutyReceiver(session, SecretStr(receiver.url), SecretStr("too-short")).send(notification())
    assert (attempt.outcome, attempt.http_status) == ("rejected", 400)
    assert "should be 32 characters" in attempt.reason
    assert "too-short" not in attempt.reason + json.dumps(repr(attempt))
