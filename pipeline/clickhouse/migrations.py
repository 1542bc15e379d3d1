"""Bringing a ClickHouse to what this version needs: tables by numbered files, each once; views whenever their text has changed.

A file has one statement, so it is applied whole or not at all; it is written so that applying it twice is harmless (a crash may come
between a statement and the record of it). What has been applied is in `telemetry.schema_versions`, with its SHA-256.

Why no library: clickhouse-migrations 0.16.0 works over HTTP, but brings a second driver (clickhouse-driver, native protocol) into every
installation, knows files that run once and not views that follow the schemas, and would leave to us what is longest here: saying in
one line what to do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from graphlib import TopologicalSorter
from typing import Final

import orjson

from pipeline.clickhouse.client import Client
from pipeline.clickhouse.paris_views import paris_views
from pipeline.clickhouse.sql_files import read_folder, sql_folder
from pipeline.clickhouse.typed_views import generated_views
from pipeline.runtime.errors import Stop
from pipeline.runtime.settings import Settings

_DDL_TIMEOUT_S: Final = 60
_SCHEMA_VERSIONS: Final = """
CREATE TABLE IF NOT EXISTS telemetry.schema_versions
(
    name String COMMENT 'migrations/… or views/…',
    checksum String COMMENT 'SHA-256 of the statement; empty for a view that was dropped',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When it was applied'
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
COMMENT 'What telemetry migrate has applied; read with FINAL.'
"""


async def migrate(settings: Settings) -> list[str]:
    """Apply what is missing; returns a line for each thing done, none when there was nothing to do.

    Raises:
        RetryAfter: ClickHouse is away; call again.
        Stop: A file that was applied has been edited, the database is newer than this version, or ClickHouse refuses a statement.
    """
    client = Client(settings.clickhouse, database=None, read_timeout_s=_DDL_TIMEOUT_S)
    try:
        await client.command("CREATE DATABASE IF NOT EXISTS telemetry")
        await client.command(_SCHEMA_VERSIONS)
        return await apply(client, read_folder(sql_folder("migrations")), all_views())
    finally:
        await client.close()


def all_views() -> dict[str, str]:
    """View name → its statement: those in files, their twins, and those made from the schemas."""
    views = read_folder(sql_folder("views"))
    return views | paris_views(views) | generated_views()


async def apply(client: Client, migrations: Mapping[str, str], views: Mapping[str, str]) -> list[str]:
    """Apply the statements by name: migrations in order, once; views after those they read, when new, changed or gone."""
    applied = await _applied(client)
    pending = _pending(migrations, applied)
    lines = []
    for name in pending:
        await client.command(migrations[name])
        await _record(client, f"migrations/{name}", migrations[name])
        lines.append(f"applied {name}")
    existing = await _existing_views(client)
    for name in in_order(views):
        if applied.get(f"views/{name}") != _checksum(views[name]) or name not in existing:
            await client.command(views[name])
            await _record(client, f"views/{name}", views[name])
            lines.append(f"{'replaced' if name in existing else 'created'} view {name}")
    for name in _dropped(views, applied):
        await client.command(f"DROP VIEW IF EXISTS telemetry.{name}")
        await _record(client, f"views/{name}", "")
        lines.append(f"dropped view {name}")
    return lines


def in_order(views: Mapping[str, str]) -> list[str]:
    """Names of the views, each after the views it reads."""
    reads = {
        name: {word for word in re.findall(r"\btelemetry\.(\w+)", sql) if word in views and word != name} for name, sql in views.items()
    }
    return list(TopologicalSorter(reads).static_order())


def _pending(migrations: Mapping[str, str], applied: Mapping[str, str]) -> list[str]:
    for recorded, checksum in applied.items():
        folder, _, name = recorded.partition("/")
        if folder != "migrations":
            continue
        if name not in migrations:
            raise Stop(f"the database has migration {name}, which this version does not know: use the version that made it, or a later one")
        if checksum != _checksum(migrations[name]):
            raise Stop(f"migration {name} was edited after it had been applied: restore it, and put the change into a new file")
    return sorted(name for name in migrations if f"migrations/{name}" not in applied)


def _dropped(views: Mapping[str, str], applied: Mapping[str, str]) -> list[str]:
    recorded = {name.removeprefix("views/") for name, checksum in applied.items() if name.startswith("views/") and checksum}
    return sorted(recorded - set(views))


async def _applied(client: Client) -> dict[str, str]:
    rows = await client.query("SELECT name, checksum FROM telemetry.schema_versions FINAL")
    return {row["name"]: row["checksum"] for row in rows}


async def _existing_views(client: Client) -> set[str]:
    rows = await client.query("SELECT name FROM system.tables WHERE database = 'telemetry' AND engine = 'View'")
    return {row["name"] for row in rows}


async def _record(client: Client, name: str, sql: str) -> None:
    row = orjson.dumps([name, _checksum(sql) if sql else ""])
    await client.insert_block("telemetry.schema_versions", ("name", "checksum"), row, "JSONCompactEachRow", {"async_insert": 0})


def _checksum(sql: str) -> str:
    return hashlib.sha256(sql.encode()).hexdigest()
