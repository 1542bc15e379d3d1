"""`migrate` on the real ClickHouse: from nothing, again, and where it must refuse."""

from __future__ import annotations

import pytest

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.migrations import all_views, apply, migrate
from pipeline.clickhouse.sql_files import read_folder, sql_folder
from pipeline.runtime.errors import ConfigurationError, Stop
from pipeline.runtime.settings import ClickHouse, Settings

NEW_TABLE = "CREATE TABLE telemetry.something (x UInt8) ENGINE = Memory"


@pytest.fixture
def migrations() -> dict[str, str]:
    return read_folder(sql_folder("migrations"))


@pytest.fixture
def views() -> dict[str, str]:
    return all_views()


async def test_everything_is_applied_once(writer: ClickHouse) -> None:
    """From nothing every file is applied and said, in order; a second time there is nothing to do."""
    maker = Client(writer, database=None)
    await maker.command("DROP DATABASE IF EXISTS telemetry SYNC")
    lines = await migrate(Settings(clickhouse=writer))
    assert lines[0] == "applied 0001_create_events_raw"
    assert {"created view events", "created view menu_generated", "created view error_rate"} <= set(lines)
    assert lines == list(dict.fromkeys(lines))
    assert await migrate(Settings(clickhouse=writer)) == []


async def test_an_edited_migration_is_refused(client: Client, migrations: dict[str, str], views: dict[str, str]) -> None:
    """A file that was applied must stay as it was; the line names it."""
    migrations["0003_create_panes_raw"] += "\n-- edited"
    with pytest.raises(Stop, match="migration 0003_create_panes_raw was edited"):
        await apply(client, migrations, views)


async def test_an_older_version_of_the_software_is_refused(client: Client, migrations: dict[str, str], views: dict[str, str]) -> None:
    """A database with a migration that this version lacks is left alone."""
    del migrations["0011_create_decisions_raw"]
    with pytest.raises(Stop, match="has migration 0011_create_decisions_raw, which this version does not know"):
        await apply(client, migrations, views)


async def test_only_what_differs_is_applied(client: Client, migrations: dict[str, str], views: dict[str, str]) -> None:
    """New migrations, new, changed and removed views are each said in a line; the next time there is nothing to do."""
    changed = {name: sql for name, sql in views.items() if name != "web_vital"}
    changed["panes"] = views["panes"].replace("FINAL", "FINAL WHERE count > 0")
    changed["twice"] = "CREATE OR REPLACE VIEW telemetry.twice AS SELECT 2 AS x"
    more = migrations | {"9001_add_something": NEW_TABLE}
    expected = ["applied 9001_add_something", "created view twice", "dropped view web_vital", "replaced view panes"]
    assert sorted(await apply(client, more, changed)) == expected
    assert await apply(client, more, changed) == []
    assert await client.query("SELECT x FROM twice") == [{"x": 2}]


async def test_a_view_that_is_gone_comes_back(client: Client, migrations: dict[str, str], views: dict[str, str]) -> None:
    """A view that somebody dropped is made again although its text has not changed."""
    more = migrations | {"9001_add_something": NEW_TABLE}
    await apply(client, more, views)
    await client.command("DROP VIEW telemetry.latency_total")
    assert await apply(client, more, views) == ["created view latency_total"]


async def test_the_reader_may_not_migrate(migrated: ClickHouse) -> None:
    """Without the writer's credentials the line says which settings are missing."""
    with pytest.raises(ConfigurationError, match="TELEMETRY_CLICKHOUSE__USER"):
        await migrate(Settings(clickhouse=ClickHouse(url=migrated.url)))
