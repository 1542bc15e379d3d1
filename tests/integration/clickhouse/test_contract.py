"""Names, columns and comments of the database, against the contract and as ClickHouse itself reports them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.sql_files import sql_folder
from pipeline.clickhouse.tables import TABLES, Table

EVENT = (
    "event_id UUID, event_type LowCardinality(String), occurred_at DateTime64(3, 'UTC'), received_at DateTime64(3, 'UTC'), "
    "service LowCardinality(String), version LowCardinality(String), environment LowCardinality(String), user_id String, "
    "session_id String, trace_id String, flags Map(String, String), {properties}kafka_partition UInt16, kafka_offset UInt64, "
    "time_clamped Bool, source_name LowCardinality(String), bot_reasons Array(LowCardinality(String)), clock_skew_ms Int64"
)
OF_EVERY_EVENT = EVENT.format(properties="")
COLUMNS = {
    "events": EVENT.format(properties="properties String, ") + ", schema_ok Bool, schema_errors Array(String)",
    "menu_generated": f"{OF_EVERY_EVENT}, recipe_count Int64, restrictions Array(String), generation_time_ms Float64, outcome String, "
    "provider Nullable(String), menu_id Nullable(String), error_type Nullable(String)",
    "menu_ready": f"{OF_EVERY_EVENT}, menu_id String",
    "provider_attempt": f"{OF_EVERY_EVENT}, provider String, position Nullable(Int64), outcome String, latency_ms Nullable(Float64), "
    "error_type Nullable(String)",
    "queue_job": f"{OF_EVERY_EVENT}, queue String, job_id String, attempt Int64, outcome String, wait_ms Nullable(Float64), "
    "duration_ms Nullable(Float64)",
    **{f"recipe_{action}": f"{OF_EVERY_EVENT}, recipe_id String, time_spent_ms Nullable(Float64)" for action in ("view", "save", "share")},
    "nutrition_accuracy": f"{OF_EVERY_EVENT}, menu_id String, accuracy_score Float64, provider Nullable(String)",
    "satisfaction_rating": f"{OF_EVERY_EVENT}, rating Int64, menu_id Nullable(String)",
    "nps_response": f"{OF_EVERY_EVENT}, score Int64",
    "user_signed_up": f"{OF_EVERY_EVENT}, method Nullable(String)",
    "onboarding_abandoned": f"{OF_EVERY_EVENT}, step Int64, time_spent_ms Float64",
    "web_vital": f"{OF_EVERY_EVENT}, name String, value Float64, rating String, page String, metric_id Nullable(String), "
    "delta Nullable(Float64), navigation_type Nullable(String), device Nullable(String)",
    "ux_signal": f"{OF_EVERY_EVENT}, kind String, page String, replay_id Nullable(String)",
    "feature_exposure": f"{OF_EVERY_EVENT}, flag String, variant String",
    "feature_performance": f"{OF_EVERY_EVENT}, flag String, variant String, duration_ms Float64",
    "api_request": f"{OF_EVERY_EVENT}, method String, route String, status_code Int64, duration_ms Float64",
    "external_api_call": f"{OF_EVERY_EVENT}, api String, status_code Int64, duration_ms Float64",
    "payment": f"{OF_EVERY_EVENT}, outcome String, amount_cents Nullable(Int64), reason Nullable(String)",
    "resource_usage": f"{OF_EVERY_EVENT}, host String, cpu_ratio Float64, memory_ratio Float64, disk_ratio Float64",
    "db_sample": f"{OF_EVERY_EVENT}, metric String, value Float64",
    "health_check": f"{OF_EVERY_EVENT}, check String, status String, latency_ms Float64, detail Nullable(String)",
    "circuit_state_changed": f"{OF_EVERY_EVENT}, provider String, from_state String, to_state String",
    "deployment": f"{OF_EVERY_EVENT}, phase String, release String, previous_release Nullable(String)",
    "security_signal": f"{OF_EVERY_EVENT}, kind String, detail Nullable(String)",
    "feedback": f"{OF_EVERY_EVENT}, kind String, detail Nullable(String)",
    "accepted_count": f"{OF_EVERY_EVENT}, source String, minute DateTime64(3, 'UTC'), count Int64, positions Array(Int64)",
    "panes": "metric LowCardinality(String), labels Map(LowCardinality(String), String), start DateTime64(3, 'UTC'), "
    "source_partition UInt16, count UInt64, sum Int64, buckets Map(Int16, UInt64), last_offset Int64, "
    "first_received_at DateTime64(3, 'UTC'), version UInt64",
    "error_rate": "window_start DateTime64(3, 'UTC'), window_s UInt32, metric LowCardinality(String), "
    "labels Map(LowCardinality(String), String), total UInt64, errors UInt64, error_ratio Float64",
    "error_rate_total": "window_start DateTime64(3, 'UTC'), window_s UInt32, metric LowCardinality(String), total UInt64, errors UInt64, "
    "error_ratio Float64",
    "latency": "window_start DateTime64(3, 'UTC'), window_s UInt32, metric LowCardinality(String), "
    "labels Map(LowCardinality(String), String), count UInt64, mean_ms Float64, p50_ms Float64, p95_ms Float64, p99_ms Float64",
    "latency_total": "window_start DateTime64(3, 'UTC'), window_s UInt32, metric LowCardinality(String), count UInt64, mean_ms Float64, "
    "p50_ms Float64, p95_ms Float64, p99_ms Float64",
    "first_exposures": "subject String, flag LowCardinality(String), variant LowCardinality(String), first_at DateTime64(3, 'UTC')",
    "user_days": "user_id String, day Date",
    "retention": "cohort_day Date, day_n UInt8, cohort_size UInt64, retained UInt64, ratio Nullable(Float64), mature Bool",
    "retention_within": "cohort_day Date, within_days UInt8, cohort_size UInt64, retained UInt64, ratio Nullable(Float64), mature Bool",
    "user_days_paris": "user_id String, day Date",
    "retention_paris": "cohort_day Date, day_n UInt8, cohort_size UInt64, retained UInt64, ratio Nullable(Float64), mature Bool",
    "retention_within_paris": "cohort_day Date, within_days UInt8, cohort_size UInt64, retained UInt64, ratio Nullable(Float64), "
    "mature Bool",
    "dead_letters": "kafka_topic LowCardinality(String), kafka_partition UInt16, kafka_offset UInt64, failed_at DateTime64(3, 'UTC'), "
    "error_code LowCardinality(String), reason String, event_id String, event_type String, service String, sample String",
    "accepted_and_stored": "minute DateTime('UTC'), source String, accepted Nullable(UInt64), stored UInt64, dead_lettered UInt64, "
    "repeated UInt64, missing Nullable(Int64), missing_ratio Nullable(Float64)",
}
#: The contract names the first columns of these, more may follow.
BEGINNINGS = {
    "alerts": "incident_key rule severity state at value threshold window_from window_to",
    "escalations": "incident_key event step target due_at at",
    "deliveries": "incident_key receiver intent_at outcome attempt at",
    "decisions": "rule at verdict reason",
}
PARAMETERISED = {"accepted_and_stored_at", "error_rate_at", "latency_at", "panes_before"}


@pytest.mark.parametrize(("view", "columns"), COLUMNS.items(), ids=COLUMNS.keys())
async def test_views_have_the_columns_of_the_contract(client: Client, view: str, columns: str) -> None:
    """Names, types and order are exactly these."""
    rows = await client.query(f"DESCRIBE TABLE {view}")
    assert ", ".join(f"{row['name']} {row['type']}" for row in rows) == columns


@pytest.mark.parametrize(("view", "columns"), BEGINNINGS.items(), ids=BEGINNINGS.keys())
async def test_archives_begin_with_the_columns_of_the_contract(client: Client, view: str, columns: str) -> None:
    """Names and order of the first columns are exactly these."""
    rows = await client.query(f"DESCRIBE TABLE {view}")
    assert [row["name"] for row in rows][: len(columns.split())] == columns.split()


async def test_everything_says_what_it_is(client: Client) -> None:
    """Every table and view has a comment, views say how fresh they are, every column has a comment."""
    tables = await client.query("SELECT name, engine, comment FROM system.tables WHERE database = 'telemetry'")
    assert {row["name"] for row in tables} >= COLUMNS.keys() | BEGINNINGS.keys() | PARAMETERISED
    assert [row["name"] for row in tables if not row["comment"]] == []
    views = {row["name"]: row["comment"] for row in tables if row["engine"] == "View"}
    assert [name for name, comment in views.items() if "Fresh within" not in comment and name != "metrics"] == []
    columns = await client.query("SELECT table, name FROM system.columns WHERE database = 'telemetry' AND comment = ''")
    assert columns == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
async def test_rows_are_sent_in_the_order_of_the_table(client: Client, table: Table) -> None:
    """The columns a worker sends are the table's own, all of them, but for those that ClickHouse computes."""
    sql = "SELECT name FROM system.columns WHERE database = 'telemetry' AND table = {name:String} AND default_kind = '' ORDER BY position"
    rows = await client.query(sql, {"name": table.name.removeprefix("telemetry.")})
    assert [row["name"] for row in rows] == list(table.columns)


@pytest.mark.parametrize("folder", ["migrations", "views", "queries"])
async def test_every_file_is_one_statement_that_clickhouse_can_read(client: Client, folder: str) -> None:
    """Each file parses by itself, as it stands on disk."""
    paths = sorted(Path(sql_folder(folder)).glob("*.sql"))
    assert paths
    for path in paths:
        formatted = await client.query("SELECT formatQuery({sql:String}) AS sql", {"sql": path.read_text("utf-8")})
        assert formatted[0]["sql"], path.name
