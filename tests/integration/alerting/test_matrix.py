from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.integration.alerting.matrix_config import severity_of, shipped_rules, told_at_once
from tests.integration.alerting.matrix_play import Record, Seen, play
from tests.integration.alerting.matrix_table import TABLE, Row
from tests.integration.worker.own_stack import own_stack
from tests.integration.worker.stack import Stack

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

EACH_ROW = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.rule)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with own_stack(tmp_path_factory.mktemp("matrix")) as (stack, _):
        yield stack


@pytest.fixture(scope="module")
def seen(stack: Stack) -> Seen:
    return asyncio.run(play(stack, stack.folder))


def alerts_of(seen: Seen, row: Row, state: str) -> list[Record]:
    return [alert for alert in seen.alerts if (alert["rule"], alert["state"]) == (row.rule, state)]


def test_every_shipped_rule_is_in_the_table() -> None:
    """A rule that nobody has made fire is not known to fire."""
    assert Counter(row.rule for row in TABLE) == Counter(list(shipped_rules()))


@EACH_ROW
def test_a_rule_fires_and_is_over(seen: Seen, row: Row) -> None:
    """One incident for each series of its row, opened by the comparison that its events are about, and ended by theirs; no other one."""
    assert seen.states(row) == {row.series_of(series): ["firing", "resolved"] for series in row.series}
    firing = alerts_of(seen, row, "firing")
    assert {alert["term"] for alert in firing} == set(row.terms)
    assert {alert["severity"] for alert in firing} == {severity_of(row.rule)}
    assert {alert["incident_key"] for alert in firing} == {alert["incident_key"] for alert in alerts_of(seen, row, "resolved")}


@EACH_ROW
def test_those_whom_the_files_name_are_told(seen: Seen, row: Row) -> None:
    """Its channels and those of its severity are the first step, and each of them is told, or another incident has spoken for it."""
    opened = [event for event in seen.escalations if event["rule"] == row.rule and event["event"] == "opened"]
    assert [set(event["plan"][0]["targets"]) for event in opened] == [told_at_once(row.rule)] * len(row.series)
    assert seen.untold(row) == set()
    for held in [one for one in seen.decisions if one["kind"] == "suppression" and one["rule"] == row.rule]:
        assert any(f"{other} (" in held["reason"] for other in row.held_by), held["reason"]
    told = [
        one for one in seen.escalations if one["rule"] == row.rule and one["event"] == "step_due" and one["step"] == 0 and one["notify"]
    ]
    delivered = Counter(
        (one["receiver"], one["incident_key"])
        for one in seen.deliveries
        if one["action"] == "trigger" and one["outcome"] == "delivered" and one["step"] == 0
    )
    assert all(delivered[event["target"], event["incident_key"]] == 1 for event in told)


def test_nothing_fires_before_its_events_come(seen: Seen) -> None:
    """While all but users is well only their rules fire, and menus that come late and from fallbacks are no outage."""
    by_stage = {stage: {row.rule for row in TABLE if row.stage == stage} for stage in ("quiet", "unwell", "outage")}
    assert seen.fired_before["quiet"] <= by_stage["quiet"]
    assert seen.fired_before["unwell"] == by_stage["quiet"]
    assert not seen.fired_before["outage"] & by_stage["outage"]
    assert "pipeline_stalled" not in seen.fired_before["stalled"]


def test_the_sql_of_an_alert_returns_its_value(seen: Seen) -> None:
    """What anybody gets who runs it, for every alert that has one: numerator, denominator and value, to 1e-9."""
    wrong = []
    asked = [alert for alert in seen.alerts if alert["sql"]]
    for alert in asked:
        row = seen.answers[alert["transition_id"]]
        for name in ("numerator", "denominator", "value"):
            if (row[name] or 0.0) != pytest.approx(alert[name], rel=1e-9, abs=0):
                wrong.append(f"{alert['rule']} {alert['state']}: {name} is {alert[name]}, and {row[name]} in {alert['sql']}")
    assert len(asked) >= 20
    assert not wrong, "\n".join(wrong)
