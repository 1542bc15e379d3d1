from __future__ import annotations

import asyncio
import re

from pydantic import SecretStr

from alerting.config.load import CONFIG_DIR
from pipeline.clickhouse.client import Client
from pipeline.clickhouse.migrations import migrate
from pipeline.runtime.settings import ClickHouse, Settings
from tests.stack_fixtures import ClickHouseServer


def questions() -> list[tuple[str, str]]:
    """Page and SQL of every question in a runbook."""
    pages = sorted((CONFIG_DIR / "runbooks").glob("*.md"))
    return [(page.name, sql) for page in pages for sql in re.findall(r"`(SELECT [^`]+)`", page.read_text("utf-8"))]


def test_the_questions_of_the_runbooks_can_be_asked(clickhouse: ClickHouseServer) -> None:
    """Somebody pastes them at night: tables and columns are those there are, and the reader may read them."""
    settings = ClickHouse(url=clickhouse.url, user=clickhouse.user, password=SecretStr(clickhouse.password))

    async def ask() -> int:
        await migrate(Settings(clickhouse=settings))
        reader = Client(ClickHouse(url=clickhouse.url))
        try:
            for page, sql in questions():
                try:
                    await reader.query(sql)
                except Exception as error:
                    raise AssertionError(f"{page}: {sql}") from error
        finally:
            await reader.close()
        return len(questions())

    assert asyncio.run(ask()) > 40
