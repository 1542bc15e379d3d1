"""`telemetry publish`: events of a file into the stack."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.cli.address import Target
    from pipeline.cli.event_file import EventFile, Line
    from pipeline.cli.publishing import Outcome, Sink
    from pipeline.runtime.clock import Clock

#: So many refused lines are shown one by one.
SHOWN_REJECTIONS = 20


def publish(
    file: Path,
    *,
    kafka: Annotated[bool, Parameter(negative="", help="Straight to the topic instead of through the gateway.")] = False,
    speed: Annotated[float | None, Parameter(help="Replay by event time, this many times as fast as it happened.")] = None,
    keep_times: Annotated[bool, Parameter(negative="", help="With --speed: leave occurred_at as it is.")] = False,
    patience: Annotated[float, Parameter(help="Seconds without any answer after which it gives up.")] = 900.0,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Publish the events of an NDJSON file; the order of each key is the order of the file.

    A line without event_id gets one from the file's hash and its number, so publishing a file twice counts it once. With --speed
    the times are shifted so that the last event happens as the replay ends, unless --keep-times. Exit 1 when a line was refused.

    A stack that is away is waited for, and what it did not answer for is sent again; --patience says how long. Ctrl-C, and the end of
    that patience, exit 1 and say how many lines were answered for; publish the file again then.

    Example: `telemetry publish events.ndjson`, `telemetry publish day.ndjson --speed 60`
    """
    from pipeline.cli.address import resolve
    from pipeline.cli.event_file import survey
    from pipeline.cli.publishing import Outcome
    from pipeline.runtime.errors import ConfigurationError, Stop

    if speed is not None and speed <= 0:
        raise ConfigurationError("--speed must be greater than 0")
    target = resolve(data_dir)
    events, outcome = survey(file, with_span=speed is not None), Outcome()
    try:
        asyncio.run(_publish(events, target, outcome, kafka=kafka, speed=speed, keep_times=keep_times, patience_s=patience))
    except (Stop, KeyboardInterrupt) as end:
        _report(outcome, format)
        raise Stop(f"{str(end) or 'interrupted'}; {_left(events.lines, outcome, shifted=speed is not None and not keep_times)}") from end
    return _report(outcome, format)


def _left(lines: int, outcome: Outcome, *, shifted: bool) -> str:
    """What was sent, what was not, and what to do about it."""
    so_far = f"{outcome.answered} of {lines} lines are answered for, of the others some may have arrived"
    if shifted:  # the times would be others then, and the same id with other content is a conflict
        return f"{so_far}; what is published again at another time of day, with the same ids, is refused as event_id_conflict"
    return f"{so_far}; publish the file again, what has arrived counts once"


async def _publish(
    file: EventFile, target: Target, outcome: Outcome, *, kafka: bool, speed: float | None, keep_times: bool, patience_s: float
) -> None:
    import aiohttp

    from pipeline.cli.event_file import lines_of
    from pipeline.cli.publish_screen import screen
    from pipeline.cli.publishing import Patience, gateway_sink, kafka_sink
    from pipeline.cli.publishing import publish as send
    from pipeline.runtime.clock import SystemClock
    from pipeline.runtime.producer import start_producer, stop_producer

    clock = SystemClock()
    shift_ms, due_s = _pace(file, clock, speed, keep_times=keep_times)

    async def send_to(sink: Sink) -> None:
        with screen(file.lines) as shown:
            patience = Patience(clock, patience_s, shown.wait)
            await send(lines_of(file, shift_ms), sink, clock, outcome, on_sent=shown.sent, due_s=due_s, patience=patience)

    if kafka:
        producer = await start_producer(target.settings.kafka.bootstrap_servers, "nutricoach-publish", compression="zstd")
        try:
            await send_to(kafka_sink(producer))
        finally:
            await stop_producer(producer)
        return
    keys = target.settings.gateway.write_keys
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await send_to(gateway_sink(session, target.gateway_url, keys[0].get_secret_value() if keys else None))


def _pace(file: EventFile, clock: Clock, speed: float | None, *, keep_times: bool) -> tuple[int, Callable[[Line], float] | None]:
    """By how many ms times move, and when a line may leave in seconds after the start (None: at once)."""
    if speed is None or file.span_ms is None:
        return 0, None
    first_ms, last_ms = file.span_ms
    shift_ms = 0 if keep_times else clock.now_ms() + int((last_ms - first_ms) / speed) - last_ms

    def due_s(line: Line) -> float:
        return 0.0 if line.occurred_ms is None else (line.occurred_ms - shift_ms - first_ms) / 1000 / speed

    return shift_ms, due_s


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
