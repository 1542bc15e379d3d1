"""`telemetry publish`: events of a file into the stack."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from pipeline.cli.address import Target
    from pipeline.cli.event_file import EventFile
    from pipeline.cli.publishing import Outcome, Sink

#: So many refused lines are shown one by one.
SHOWN_REJECTIONS = 20


def publish(
    file: Path,
    *,
    kafka: Annotated[bool, Parameter(negative="", help="Straight to the topic instead of through the gateway.")] = False,
    speed: Annotated[float | None, Parameter(help="Replay by event time, this many times as fast as it happened.")] = None,
    keep_times: Annotated[bool, Parameter(negative="", help="With --speed: leave occurred_at as it is.")] = False,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Publish the events of an NDJSON file; the order of each key is the order of the file.

    A line without event_id gets one from the file's hash and its number, so publishing a file twice counts it once. With --speed
    the times are shifted so that the last event happens as the replay ends, unless --keep-times. Exit 1 when a line was refused.

    Example: `telemetry publish events.ndjson`, `telemetry publish day.ndjson --speed 60`
    """
    from pipeline.cli.address import resolve
    from pipeline.runtime.errors import ConfigurationError

    if speed is not None and speed <= 0:
        raise ConfigurationError("--speed must be greater than 0")
    target = resolve(data_dir)
    outcome = asyncio.run(_publish(file, target, kafka=kafka, speed=speed, keep_times=keep_times))
    return _report(outcome, format)


async def _publish(path: Path, target: Target, *, kafka: bool, speed: float | None, keep_times: bool) -> Outcome:
    import aiohttp

    from pipeline.cli.event_file import survey
    from pipeline.cli.publishing import gateway_sink, kafka_sink
    from pipeline.runtime.producer import start_producer

    file = survey(path, with_span=speed is not None)
    if kafka:
        producer = await start_producer(target.settings.kafka.bootstrap_servers, "nutricoach-publish", compression="zstd")
        try:
            return await _send(file, kafka_sink(producer), speed, keep_times=keep_times)
        finally:
            await producer.stop()
    keys = target.settings.gateway.write_keys
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        sink = gateway_sink(session, target.gateway_url, keys[0].get_secret_value() if keys else None)
        return await _send(file, sink, speed, keep_times=keep_times)


async def _send(file: EventFile, sink: Sink, speed: float | None, *, keep_times: bool) -> Outcome:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pipeline.cli.event_file import Line, lines_of
    from pipeline.cli.publishing import publish as send
    from pipeline.runtime.clock import SystemClock

    clock = SystemClock()
    shift_ms, due_s = 0, None
    if speed is not None and file.span_ms is not None:
        first_ms, last_ms = file.span_ms
        if not keep_times:
            shift_ms = clock.now_ms() + int((last_ms - first_ms) / speed) - last_ms

        def due_s(line: Line) -> float:
            return 0.0 if line.occurred_ms is None else (line.occurred_ms - shift_ms - first_ms) / 1000 / speed

    console = Console(stderr=True)
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("publishing", total=file.lines)
        return await send(lines_of(file, shift_ms), sink, clock, lambda sent: progress.advance(task, sent), due_s)


def _report(outcome: Outcome, format: Format) -> int:
    import orjson

    rejected = sorted(outcome.rejected, key=lambda rejection: rejection.line)
    if format == "json":
        document = {"accepted": outcome.accepted, "rejected": rejected}
        print(orjson.dumps(document).decode())
    else:
        print(f"{outcome.accepted} accepted, {len(rejected)} rejected")
        for rejection in rejected[:SHOWN_REJECTIONS]:
            reasons = "; ".join(f"{error['field']}: {error['message']}".lstrip(": ") for error in rejection.errors)
            print(f"line {rejection.line}: {reasons}", file=sys.stderr)
        if len(rejected) > SHOWN_REJECTIONS:
            print(f"… and {len(rejected) - SHOWN_REJECTIONS} more; --format json lists them all", file=sys.stderr)
    return 1 if rejected else 0
