"""`telemetry alerts why`: why was somebody paged, or why not?"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from alerting.why import Facts
    from pipeline.runtime.settings import Settings


def why(
    *,
    at: Annotated[str, Parameter(help="14:05 or 14:05:30, the newest that is past, or 2026-11-23T14:05Z. UTC unless it says otherwise.")],
    rule: Annotated[str, Parameter(help="The rule's name.")],
    date: Annotated[str | None, Parameter(help="The day of a time without one, such as 2026-11-23.")] = None,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Say why somebody was paged about a rule at a time, or was not: its verdict, the gate that held it back, silences, deliveries.

    A time without seconds is all of that minute. It is answered from ClickHouse, where decisions arrive within seconds.

    Example: `telemetry alerts why --at 14:05 --rule "Menu Generation Critical"`, `telemetry alerts why --at 2026-11-23T14:05Z --rule
    "Data Loss" --format json`
    """
    from alerting.why import as_document, as_lines, explain
    from pipeline.cli.address import resolve
    from pipeline.cli.tailing import clean
    from pipeline.runtime.clock import SystemClock
    from schemas.timestamps import from_ms

    begins, ends = moment(at, date, from_ms(SystemClock().now_ms()))
    answer = explain(asyncio.run(_read(resolve(data_dir).settings, rule, begins, ends)))
    if format == "json":
        import orjson

        print(orjson.dumps(as_document(answer)).decode())
    else:
        print("\n".join(map(clean, as_lines(answer))))
    return 0


def moment(at: str, day: str | None, now: datetime) -> tuple[datetime, datetime]:
    """The first and the last instant of what `at` names, the day before `now` when it were to come. Raises ConfigurationError."""
    from pipeline.runtime.errors import ConfigurationError

    try:
        has_day = "T" in at or " " in at
        if has_day and day is not None:
            raise ConfigurationError("--date is for an --at without a day")
        instant = datetime.fromisoformat(at if has_day else f"{(date.fromisoformat(day) if day else now.date()).isoformat()}T{at}")
    except ValueError:
        raise ConfigurationError(f"--at {at}{f' --date {day}' if day else ''}: write 14:05, or 2026-11-23T14:05Z") from None
    begins = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
    if begins > now and not has_day and day is None:
        begins -= timedelta(days=1)
    if begins > now:
        raise ConfigurationError(f"--at {at}: that is still to come")
    lasts = timedelta(seconds=1) if re.search(r"\d\d:\d\d:\d\d", at) else timedelta(minutes=1)
    return begins, min(begins + lasts - timedelta(milliseconds=1), now)


async def _read(settings: Settings, rule: str, begins: datetime, ends: datetime) -> Facts:
    from alerting.why_facts import read_facts
    from pipeline.clickhouse.client import Client
    from pipeline.runtime.errors import RetryAfter, Stop

    client = Client(settings.clickhouse)
    try:
        return await read_facts(client, rule, begins, ends)
    except RetryAfter as away:
        raise Stop(str(away)) from away
    finally:
        await client.close()
