from __future__ import annotations

from pipeline.clickhouse.migrations import all_views, in_order
from pipeline.clickhouse.paris_views import MARK, paris_views
from pipeline.clickhouse.sql_files import read_folder, sql_folder


def test_a_twin_differs_in_name_source_and_zone_only() -> None:
    """Days and comments are of Paris, what it reads has a twin or is the same, and the type of an instant stays."""
    views = {
        "days": MARK
        + "CREATE OR REPLACE VIEW telemetry.days (at DateTime64(3, 'UTC') COMMENT 'UTC days') AS SELECT toDate(at, 'UTC') FROM raw",
        "daily": MARK + "CREATE OR REPLACE VIEW telemetry.daily AS SELECT * FROM telemetry.days JOIN telemetry.days_off",
        "days_off": "CREATE OR REPLACE VIEW telemetry.days_off AS SELECT toDate(at, 'UTC') FROM telemetry.raw",
    }
    assert paris_views(views) == {
        "days_paris": "CREATE OR REPLACE VIEW telemetry.days_paris (at DateTime64(3, 'UTC') COMMENT 'Europe/Paris days') "
        "AS SELECT toDate(at, 'Europe/Paris') FROM raw",
        "daily_paris": "CREATE OR REPLACE VIEW telemetry.daily_paris AS SELECT * FROM telemetry.days_paris JOIN telemetry.days_off",
    }
    assert paris_views({"days_off": views["days_off"]}) == {}


def test_no_twin_reads_days_in_utc() -> None:
    """Every view that a twin reads has either no days or a twin, and both kinds are among the views that are made."""
    files = read_folder(sql_folder("views"))
    twins, views = paris_views(files), all_views()
    assert {"retention_paris", "retention_within_paris", "user_days_paris"} <= twins.keys() <= set(in_order(views))
    assert [name for name, text in twins.items() if "toDate(" in text and "'Europe/Paris'" not in text] == []
