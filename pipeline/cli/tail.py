"""`telemetry tail`: events as they come, accepted and rejected."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from pipeline.cli.tail_screen import Screen
    from pipeline.cli.tailing import Wanted


def tail(
    *,
    type: Annotated[str | None, Parameter(help="Only events of this type.")] = None,
    service: Annotated[str | None, Parameter(help="Only events of this service.")] = None,
    rejected: Annotated[bool, Parameter(negative="", help="Only those that were refused, with the reason.")] = False,
    since: Annotated[str | None, Parameter(help="Begin so long ago, as in 30s, 5m or 2h; else from now on.")] = None,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Watch events as they come, one a line, until Ctrl-C: those that were accepted, and those that a worker refused.

    What the gateway refuses is told to its sender and is not seen here. When more comes than can be shown, it says how much it skips.

    Example: `telemetry tail`, `telemetry tail --type menu_generated`, `telemetry tail --rejected --since 1h`
    """
    from pipeline.cli.address import resolve
    from pipeline.cli.tail_screen import screen
    from pipeline.cli.tailing import Wanted
    from pipeline.runtime.clock import SystemClock
    from pipeline.runtime.errors import ConfigurationError
    from schemas.event import EVENT_TYPES

    if type is not None and type not in EVENT_TYPES and not rejected:
        raise ConfigurationError(f"--type {type} is no event type; there are {', '.join(EVENT_TYPES)}")
    since_ms = None if since is None else SystemClock().now_ms() - _duration_ms(since)
    servers = resolve(data_dir).settings.kafka.bootstrap_servers
    try:
        with screen(format, SystemClock()) as shown:
            asyncio.run(_watch(servers, shown, Wanted(type, service), since_ms, only_rejected=rejected))
    except KeyboardInterrupt:  # how it ends
        return 0
    return 0


def _duration_ms(text: str) -> int:
    from alerting.engine.rule import duration_ms
    from pipeline.runtime.errors import ConfigurationError

    try:
        return int(duration_ms(text))
    except ValueError as error:
        raise ConfigurationError(f"--since: {error}") from None


async def _watch(servers: str, shown: Screen, wanted: Wanted, since_ms: int | None, *, only_rejected: bool) -> None:
    from pipeline.cli.tailing import seen_in
    from pipeline.cli.topics_now import TopicsNow
    from pipeline.runtime.errors import RetryAfter
    from schemas.topics import DLQ, EVENTS

    topics = (DLQ,) if only_rejected else (EVENTS, DLQ)
    async with TopicsNow(servers, topics, since_ms) as now:
        print(f"watching {' and '.join(topic.name for topic in topics)} on {servers}; Ctrl-C ends it", file=sys.stderr, flush=True)
        told = ""
        while True:
            try:
                records, skipped = await now.next()
            except RetryAfter as away:
                if str(away) != told:
                    told = str(away)
                    shown.note(told)
                await asyncio.sleep(away.seconds)
                continue
            told = ""
            if skipped:
                shown.note(f"skipped {skipped:,} records: more came than can be shown")
            shown.show([seen for seen in seen_in(records) if wanted(seen)])
