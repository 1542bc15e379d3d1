"""Through gateway, Kafka, worker and ClickHouse: bots, wrong clocks and broken schemas are stored, said, and kept out of the numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas import modes
from tests.contract.gateway.gateways import gateway_on
from tests.integration.worker.stack import Stack, menu
from tests.waiting import wait_until

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
OBSERVED = "from schemas import modes; modes.MODES = {'menu_generated': 'observe', 'recipe_view': 'warn'}"
HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def of_type(event_type: str, properties: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    return event | {"event_type": event_type, "properties": properties}


def series(stack: Stack, service: str) -> dict[str, int]:
    """Counts by metric, of panes that have the service's name in a label."""
    rows = stack.query(f"SELECT metric, sum(count) AS n FROM panes WHERE has(mapValues(labels), '{service}') GROUP BY 1")
    return {row["metric"]: row["n"] for row in rows if row["n"]}


def stored(stack: Stack, service: str) -> int:
    count: int = stack.one(f"SELECT count() FROM events WHERE service = '{service}'")
    return count


def reconciled(stack: Stack, around_ms: int) -> dict[str, Any]:
    """What `telemetry reconcile` says of the hours around an instant."""
    hour = datetime.fromtimestamp(around_ms // HOUR_MS * HOUR_MS / 1000, UTC)
    begin, end = ((hour + timedelta(hours=n)).isoformat() for n in (-1, 2))
    env = {
        "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": stack.kafka,
        "TELEMETRY_CLICKHOUSE__URL": stack.clickhouse.url,
        "TELEMETRY_CLICKHOUSE__USER": stack.clickhouse.user,
        "TELEMETRY_CLICKHOUSE__PASSWORD": stack.clickhouse.password,
    }
    command = [sys.executable, "-m", "pipeline.cli.main", "reconcile", "--from", begin, "--to", end, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **env})
    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


async def test_bots_are_in_the_events_and_in_no_business_number(stack: Stack) -> None:
    """Only `events` takes notice of a crawler's menus, views and exposures, folded or repaired; a service's requests count anyway."""
    service, at, long_ago = "crawled", now_ms(), now_ms() - 20 * HOUR_MS
    shown = {"flag": service, "variant": "B"}
    request = {"method": "GET", "route": f"/{service}", "status_code": 200, "duration_ms": 5}

    def of_bot(at_ms: int) -> list[dict[str, Any]]:
        others: dict[str, dict[str, Any]] = {"recipe_view": {"recipe_id": "r-1"}, "feature_exposure": shown, "api_request": request}
        of_others = [of_type(name, properties, menu(service, at_ms, "bot-1")) for name, properties in others.items()]
        return [menu(service, at_ms, "bot-1"), *of_others]

    def of_person(at_ms: int) -> list[dict[str, Any]]:
        return [menu(service, at_ms, "person-1"), of_type("feature_exposure", shown, menu(service, at_ms, "person-1"))]

    stack.start_worker()
    async with gateway_on(stack.kafka) as gateway:
        await gateway.ready()
        for at_ms in (at, long_ago):  # the second ones come too late for their panes: they are folded by the repair
            assert (await gateway.post(of_bot(at_ms), User_Agent=GOOGLEBOT)).json["accepted"] == 4
            assert (await gateway.post(of_person(at_ms))).json["accepted"] == 2
    wait_until(lambda: stored(stack, service) == 12, 60, "all are stored")
    expected = {"events": 12, "menu_generation": 2, "feature_exposure": 2, "api_request": 2}
    wait_until(lambda: series(stack, service) == expected, 60, "panes without the bot")
    assert stack.query(f"SELECT DISTINCT user_id, bot_reasons FROM menu_generated WHERE service = '{service}' ORDER BY user_id") == [
        {"user_id": "bot-1", "bot_reasons": ["crawler"]},
        {"user_id": "person-1", "bot_reasons": []},
    ]
    assert stack.query(f"SELECT subject FROM first_exposures WHERE flag = '{service}'") == [{"subject": "person-1"}]
    assert stack.query("SELECT DISTINCT user_id FROM user_days WHERE user_id IN ('bot-1', 'person-1')") == [{"user_id": "person-1"}]
    report = reconciled(stack, long_ago)
    assert report["events"] >= 6
    assert (report["panes"], report["facts"], report["user_days"]) == ([], [], []), report


async def test_wrong_clocks_are_put_right_and_good_ones_left_alone(stack: Stack) -> None:
    """Hours ahead or behind, by field or for a whole request: within 2 s of the truth; a spool of a good clock keeps its times."""
    service, truth = "skewed", now_ms()
    stack.start_worker()
    async with gateway_on(stack.kafka) as gateway:
        await gateway.ready()
        for hours in (2, 30, -50):
            event = menu(service, truth + hours * HOUR_MS, f"ahead-{hours}")
            sent_at = datetime.fromtimestamp(now_ms() / 1000, UTC) + timedelta(hours=hours)
            assert (await gateway.post(event | {"sent_at": sent_at.isoformat()})).json["accepted"] == 1
        assert (await gateway.post(menu(service, truth + 2 * HOUR_MS, "batch"), query=f"?sent_at={now_ms() + 2 * HOUR_MS}")).status == 202
        assert (await gateway.post(menu(service, truth - 3 * HOUR_MS, "spool"), query=f"?sent_at={now_ms() - 900}")).status == 202
        assert (await gateway.post(menu(service, truth + 30 * HOUR_MS, "silent"))).status == 202
    wait_until(lambda: stored(stack, service) == 6, 60, "all six are stored")
    off = f"toUnixTimestamp64Milli(occurred_at) - {truth}"
    rows = stack.query(f"SELECT user_id, {off} AS off_ms, clock_skew_ms AS skew_ms, time_clamped FROM events WHERE service = '{service}'")
    seen = {row["user_id"]: row for row in rows}
    for user, hours in (("ahead-2", 2), ("ahead-30", 30), ("ahead--50", -50), ("batch", 2)):
        assert abs(seen[user]["off_ms"]) < 2_000, seen[user]
        assert abs(seen[user]["skew_ms"] + hours * HOUR_MS) < 2_000
        assert seen[user]["time_clamped"]
    assert (seen["spool"]["off_ms"], seen["spool"]["skew_ms"], seen["spool"]["time_clamped"]) == (-3 * HOUR_MS, 0, False)
    assert (seen["silent"]["skew_ms"], seen["silent"]["time_clamped"]) == (0, True)
    assert abs(seen["silent"]["off_ms"]) < 60_000


async def test_broken_events_of_lenient_types_are_stored_apart(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Observed and warned ones are in `events` with what is wrong, in no typed view, pane or fact; other types stay dead letters."""
    service = "lenient"
    monkeypatch.setattr(modes, "MODES", {"menu_generated": "observe", "recipe_view": "warn"})
    worker = stack.start("worker", first=OBSERVED)
    broken = [
        menu(service, now_ms(), "broken-1", outcome="perhaps"),
        of_type("recipe_view", {"recipe_id": 7}, menu(service, now_ms(), "broken-1")),
        of_type("feature_exposure", {"flag": 1, "variant": "B"}, menu(service, now_ms(), "broken-1")),
    ]
    async with gateway_on(stack.kafka) as gateway:
        await gateway.ready()
        answer = await gateway.post([*broken, menu(service, now_ms(), "sound-1")])
    assert (answer.json["accepted"], [r["index"] for r in answer.json["rejected"]]) == (3, [2])
    assert [w["index"] for w in answer.json["warnings"]] == [1]
    await stack.send([*broken, broken[0]])
    wait_until(lambda: stored(stack, service) == 3, 60, "two broken ones and a sound one are stored")
    wait_until(lambda: series(stack, service) == {"events": 1, "menu_generation": 1}, 60, "only the sound one counts")
    assert stack.query(f"SELECT event_type, schema_errors FROM events WHERE service = '{service}' AND NOT schema_ok ORDER BY 1") == [
        {"event_type": "menu_generated", "schema_errors": ["properties.outcome: Input should be 'full', 'degraded' or 'failed'"]},
        {"event_type": "recipe_view", "schema_errors": ["properties.recipe_id: Input should be a valid string"]},
    ]
    assert stack.query(f"SELECT user_id FROM menu_generated WHERE service = '{service}'") == [{"user_id": "sound-1"}]
    assert stack.one(f"SELECT count() FROM recipe_view WHERE service = '{service}'") == 0
    assert stack.query("SELECT DISTINCT user_id FROM user_days WHERE user_id IN ('broken-1', 'sound-1')") == [{"user_id": "sound-1"}]
    letters = f"SELECT event_type, error_code FROM dead_letters WHERE service = '{service}'"
    wait_until(lambda: stack.query(letters) == [{"event_type": "feature_exposure", "error_code": "invalid_field"}], 60, "one dead letter")
    read = {
        event_type: worker.metric("nutricoach_worker_schema_violations_total", event_type) for event_type in ("menu_gen", "recipe_view")
    }
    assert read == {"menu_gen": 3, "recipe_view": 2}
