"""Why was I not paged: asked of the real archive, filled with what the topics would have said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import schemas
from alerting.why import as_lines, explain
from alerting.why_facts import read_facts
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.insert import insert
from pipeline.clickhouse.migrations import migrate
from pipeline.clickhouse.tables import ALERTS_RAW, DECISIONS_RAW, DELIVERIES_RAW, ESCALATIONS_RAW, Table
from pipeline.runtime.errors import Stop
from pipeline.runtime.settings import ClickHouse, Settings
from tests.stack_fixtures import ClickHouseServer

EXAMPLES = Path(schemas.__file__).parent / "examples"
RULE = "Menu Generation Critical"
KEY = "98af1b1eb8d48209b4f69ae0e525b1a8366e41f86ab30d8a1867549297d6e92a"
TABLES = (ALERTS_RAW, ESCALATIONS_RAW, DELIVERIES_RAW, DECISIONS_RAW)
BEGINS, ENDS = datetime(2026, 11, 23, 10, 1, tzinfo=UTC), datetime(2026, 11, 23, 10, 1, 59, 999_000, tzinfo=UTC)

Said = dict[Table, list[dict[str, Any]]]


def example(path: str, **fields: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{path}.json").read_bytes())
    return document | fields


def digest(n: int) -> str:
    return f"{n:064x}"


def minute(verdict: str, window_to: str = "10:02:00", **fields: Any) -> dict[str, Any]:
    changed = {"decision_id": digest(1), "rule": RULE, "labels": {}, "verdict": verdict, "state": "inactive", "series": {"inactive": 1}}
    return example("decision/valid/minute", **changed) | {"window_to": f"2026-11-23T{window_to}.000Z"} | fields


def failed(name: str, detail: str) -> list[dict[str, Any]]:
    return [{"name": "partitions", "passed": True, "detail": "all in"}, {"name": name, "passed": False, "detail": detail}]


@pytest.fixture(scope="module")
def writer(clickhouse: ClickHouseServer) -> ClickHouse:
    """Settings of the writer of a migrated database."""
    settings = ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password))
    asyncio.run(migrate(Settings(clickhouse=settings)))
    return settings


@pytest.fixture
async def client(writer: ClickHouse) -> AsyncIterator[Client]:
    """The archive of alerting is empty before and after."""
    client = Client(writer)
    for table in TABLES:
        await client.command(f"TRUNCATE TABLE {table.name}")
    yield client
    for table in TABLES:
        await client.command(f"TRUNCATE TABLE {table.name}")
    await client.close()


async def answer(client: Client, said: Said, rule: str = RULE) -> tuple[str, str]:
    """The sentence, and all of the text."""
    for table, records in said.items():
        await insert(client, table, b"\n".join(json.dumps(record).encode() for record in records), len(records))
    found = explain(await read_facts(client, rule, BEGINS, ENDS))
    return found.sentence, "\n".join(as_lines(found))


HEARTBEAT = example("decision/valid/heartbeat", at="2026-11-23T10:01:50.000Z")
FIRED: dict[str, Any] = example("alert/valid/whole")
OPENED = example("escalation/valid/opened")
QUIET = "Nobody was paged about Menu Generation Critical at 10:01:59: "
OPEN = "Menu Generation Critical fires since 10:00:53, and "

WITHOUT_INCIDENT: dict[str, tuple[list[dict[str, Any]], str]] = {
    "false": (
        [minute("false", reason="error_rate is 3.1 %, not above 5 %", gates=[])],
        "the condition was false: error_rate is 3.1 %, not above 5 %.",
    ),
    "a gate": (
        [minute("unknown", gates=failed("n", "12 events, at least 20 needed"))],
        "it could not be said whether the condition was true; the gate `n` held it back: 12 events, at least 20 needed.",
    ),
    "not for long enough": (
        [minute("true", state="pending", labels={"host": "web-1"}, gates=failed("for", "true for 2 m, 5 m needed"))],
        "the condition was true for host=web-1, and not yet for long enough: true for 2 m, 5 m needed.",
    ),
    "nothing came": (
        [minute("false", window_to="09:00:00"), HEARTBEAT],
        "an alerter acted, but the rule was last judged at 09:00:00: nothing came that it is about.",
    ),
    "nobody acted": (
        [minute("false", window_to="09:00:00"), HEARTBEAT | {"at": "2026-11-22T09:00:15.000Z"}],
        "no alerter acted then, the last sign before was at 2026-11-22 09:00:15.",
    ),
    "the last verdict": (
        [
            minute("unknown", kind="verdict", gates=failed("warehouse", "no reading since 09:55"))
            | {"window_to": "2026-11-23T10:01:00.000Z", "at": "2026-11-23T10:01:01.000Z"}
        ],
        "it could not be said whether the condition was true; the gate `warehouse` held it back: no reading since 09:55.",
    ),
}
DELIVERED = example("delivery/valid/delivered")
FAILED = example("delivery/valid/failed-over", delivery_id=digest(9), receiver="pagerduty", at="2026-11-23T10:01:35.001Z")
ACKED = example("escalation/valid/acked")
STEPPED = example("escalation/valid/step-due", escalation_id=digest(0), at=OPENED["at"])
AGAIN = ACKED | {"escalation_id": digest(8), "command_id": "c-2", "actor": "bob", "at": "2026-11-23T10:01:06.000Z"}
SNOOZED = example("escalation/valid/snoozed")
LATER = {"step": 1, "targets": ["ceo", "dev-team"], "due_at": "2026-11-23T10:05:53.412Z"}
WITH_INCIDENT: dict[str, tuple[Said, str]] = {
    "told": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED], DELIVERIES_RAW: [example("delivery/valid/intended"), DELIVERED, FAILED]},
        f"{OPEN}was told to slack-critical at 10:00:53, but not to pagerduty (failed_over, gave up after 5 attempts; dev-team is told "
        "instead).",
    ),
    "every receiver failed": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED], DELIVERIES_RAW: [FAILED]},
        f"{OPEN}nobody had been told by 10:01:59: pagerduty: failed_over, gave up after 5 attempts; dev-team is told instead.",
    ),
    "held back": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED], DECISIONS_RAW: [example("decision/valid/suppression")]},
        f"{OPEN}nobody had been told by 10:01:59: silenced by alice until 2026-11-23T11:00:00.000Z: load test.",
    ),
    "acknowledged": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED, ACKED]},
        f"{OPEN}nobody had been told by 10:01:59: alice had acknowledged it.",
    ),
    "acknowledged by two": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED, ACKED, AGAIN]},
        f"{OPEN}nobody had been told by 10:01:59: alice had acknowledged it.",
    ),
    "snoozed": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED, SNOOZED]},
        f"{OPEN}nobody had been told by 10:01:59: it was snoozed until 11:01:10.",
    ),
    "not due yet": (
        {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED | {"plan": [LATER]}, STEPPED]},
        f"{OPEN}nobody had been told by 10:01:59: the first to be told were ceo, dev-team at 10:05:53.",
    ),
    "too old": (
        {ALERTS_RAW: [FIRED | {"state": "retro_fired"}]},
        f"{OPEN}nobody had been told by 10:01:59: its window had ended more than 15 minutes before it could be judged, so it was recorded "
        "and pages nobody.",
    ),
    "over within the minute": (
        {
            ALERTS_RAW: [FIRED, example("alert/valid/resolved", at="2026-11-23T10:01:30.000Z")],
            ESCALATIONS_RAW: [OPENED],
            DELIVERIES_RAW: [DELIVERED],
        },
        "Menu Generation Critical fired since 10:00:53, and was told to slack-critical at 10:00:53.",
    ),
}


@pytest.mark.parametrize(("decisions", "sentence"), WITHOUT_INCIDENT.values(), ids=WITHOUT_INCIDENT.keys())
async def test_without_an_incident_the_verdict_answers(client: Client, decisions: list[dict[str, Any]], sentence: str) -> None:
    """False, held back by a gate, not for long enough, or not judged at all, and then whether an alerter acted."""
    assert (await answer(client, {DECISIONS_RAW: decisions}))[0] == QUIET + sentence


@pytest.mark.parametrize(("said", "sentence"), WITH_INCIDENT.values(), ids=WITH_INCIDENT.keys())
async def test_with_an_incident_its_notifications_answer(client: Client, said: Said, sentence: str) -> None:
    """Who was told, or why nobody was: held back, acknowledged, snoozed, not due yet, refused by the receiver, or too old to page."""
    assert (await answer(client, said))[0] == sentence


async def test_a_member_is_told_with_its_group(client: Client) -> None:
    """What was delivered about the group, in the name of another incident, was delivered about this one."""
    lead = digest(7)
    told = DELIVERED | {"incident_key": lead, "rule": "Another Rule", "group_key": lead}
    said = {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED | {"group_key": lead}], DELIVERIES_RAW: [told]}
    assert (await answer(client, said))[0] == f"{OPEN}was told to slack-critical at 10:00:53."


async def test_what_its_group_was_told_before_it_fired_is_not_about_it(client: Client) -> None:
    """An incident that joins a group is told of after the group's interval: until then nobody knows of it."""
    lead = digest(7)
    told = DELIVERED | {"incident_key": lead, "group_key": lead, "at": "2026-11-23T09:58:00.000Z"}
    said = {ALERTS_RAW: [FIRED], ESCALATIONS_RAW: [OPENED | {"group_key": lead}], DELIVERIES_RAW: [told]}
    before = "its group had been told of at 09:58:00, and newer incidents of a group wait for a while."
    assert (await answer(client, said))[0] == f"{OPEN}nobody had been told by 10:01:59: {before}"


async def test_what_came_later_is_not_known_yet(client: Client) -> None:
    """Nothing after the minute counts: neither what fired then, nor what was said of it."""
    later = "2026-11-23T10:02:00.000Z"
    said: Said = {
        ALERTS_RAW: [FIRED | {"at": later}],
        DELIVERIES_RAW: [DELIVERED | {"at": later}],
        DECISIONS_RAW: [minute("false", reason="it is 3 %", gates=[]), minute("true", window_to="10:03:00", decision_id=digest(2))],
    }
    assert (await answer(client, said))[0] == f"{QUIET}the condition was false: it is 3 %."


async def test_all_that_it_rests_on_follows(client: Client) -> None:
    """The minute, the incident, what was held and what was told, one line each."""
    said: Said = {
        ALERTS_RAW: [FIRED],
        ESCALATIONS_RAW: [OPENED | {"plan": [LATER]}],
        DELIVERIES_RAW: [DELIVERED],
        DECISIONS_RAW: [minute("true", state="firing", series={"firing": 1}), example("decision/valid/suppression"), HEARTBEAT],
    }
    _, text = await answer(client, said)
    assert "\n  minute to 10:02:00: true, gate `for`, firing: true for 4 m, 10 m needed (1 firing)\n" in text
    assert f"\n  incident {KEY[:12]}: firing: Menu Generation Critical: error_rate is 6.25 %, above 5 %\n" in text
    assert "\n    next: ceo, dev-team at 10:05:53\n" in text
    assert "\n  held 10:00:53: silenced by alice until 2026-11-23T11:00:00.000Z: load test\n" in text
    assert "\n  told 10:00:53: slack-critical, trigger: delivered\n" in text
    assert text.endswith("\n  the alerter's last sign before: 10:01:50")


async def test_a_name_that_is_no_rule_is_said_to_be_none(client: Client) -> None:
    """With the nearest that there is."""
    with pytest.raises(Stop, match=r"^no rule 'Menu Generation Crtical' was ever judged; did you mean Menu Generation Critical\?$"):
        await answer(client, {DECISIONS_RAW: [minute("false")]}, "Menu Generation Crtical")
