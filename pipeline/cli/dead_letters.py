"""`telemetry dlq`: what was refused and why, and how it becomes events after all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from pipeline.cli.address import Target
    from pipeline.cli.replaying import Report, Request
    from pipeline.dead_letters.letters import Filter
    from pipeline.dead_letters.summary import Summary

app = App(name="dlq", help="Dead letters: records that were refused, why, and how they become events after all.")

#: So many different reasons are shown one by one.
SHOWN_REASONS = 20
#: So long records that were appended are waited for to be read.
_PATIENCE_S = 10.0
_READ_TIMEOUT_S = 60

Reason = Annotated[str, Parameter(help="Only those with this error_code, such as unknown_schema_version.")]
EventType = Annotated[str, Parameter(help="Only those of this event type.")]
Source = Annotated[str, Parameter(help="Only those of this service.")]
Since = Annotated[datetime | None, Parameter(help="Only those refused since then, UTC unless it says otherwise.")]
Until = Annotated[datetime | None, Parameter(help="Only those refused before then.")]


@app.command(name="list")
def list_(
    *,
    reason: Reason = "",
    event_type: EventType = "",
    source: Source = "",
    since: Since = None,
    until: Until = None,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Show dead letters by what is wrong and who sent them: how many, since when, and what has become of them.

    Each event is counted once, as it was refused last. Samples show names of fields and kinds of values, never what was in them. Letters
    are kept 14 days; the view dead_letters has what is known of them for 90.

    Example: `telemetry dlq list`, `telemetry dlq list --source menu-api --since 2026-11-23 --format json`
    """
    from pipeline.cli.address import resolve
    from pipeline.cli.tailing import clean
    from pipeline.dead_letters.letters import Filter
    from pipeline.dead_letters.summary import as_text

    wanted = Filter(reason, event_type, source, _ms(since), _ms(until))
    summary = asyncio.run(_summarise(resolve(data_dir), wanted))
    if format == "json":
        import orjson

        print(orjson.dumps({"groups": [group.as_document() for group in summary.groups]}).decode())
    elif summary.groups:
        print("\n".join(map(clean, as_text(summary.groups))))
    else:
        print("no dead letters")
    return 0


@app.command
def fixes() -> int:
    """Show the corrections that `dlq replay --fix` knows.

    Example: `telemetry dlq fixes`
    """
    from pipeline.dead_letters.fixes import FIXES, about

    for name in FIXES:
        print(f"{name}: {about(name)}")
    return 0


@app.command
def replay(
    *,
    reason: Reason = "",
    event_type: EventType = "",
    source: Source = "",
    since: Since = None,
    until: Until = None,
    fix: Annotated[
        list[str] | None, Parameter(negative="", help="Correct them first; `dlq fixes` shows how. Several in their order.")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Say what would happen, and which numbers would move by how much.")] = False,
    max_: Annotated[int | None, Parameter(name="--max", help="Publish at most so many.")] = None,
    force: Annotated[bool, Parameter(negative="", help="Those too that have been refused after three replays.")] = False,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Publish dead letters again, with corrections; what is still no event is not sent, and said with its reason.

    However often a letter is replayed it counts once: it keeps its event_id, or gets the same one each time. So a replay that was
    interrupted is simply run again. The order of each key is the order in which its letters were refused. Exit 1 when some stay refused.

    Example: `telemetry dlq replay --reason unknown_schema_version --fix set-version-1 --dry-run`, then the same without --dry-run
    """
    from pipeline.cli.address import resolve
    from pipeline.cli.replaying import EVERY, Report, Request
    from pipeline.dead_letters.fixes import FIXES
    from pipeline.dead_letters.letters import Filter
    from pipeline.runtime.errors import ConfigurationError, Stop, TelemetryError

    if unknown := [name for name in fix or [] if name not in FIXES]:
        raise ConfigurationError(f"--fix {unknown[0]}: there is no such fix; there are {', '.join(FIXES)}")
    if max_ is not None and max_ < 1:
        raise ConfigurationError("--max must be at least 1")
    request = Request(Filter(reason, event_type, source, _ms(since), _ms(until)), tuple(fix or ()), max_ or EVERY, force)
    report = Report()
    try:
        asyncio.run(_replay(resolve(data_dir), request, report, dry_run=dry_run))
    except ConfigurationError:
        raise
    except (TelemetryError, KeyboardInterrupt) as end:
        so_far = "nothing was sent" if dry_run else f"{report.replayed:,} letters were replayed, some more may have been"
        raise Stop(f"{str(end) or 'interrupted'}; {so_far}; run it again, what has arrived counts once") from end
    _print(report, format, dry_run=dry_run)
    return 0 if report.is_whole else 1


async def _summarise(target: Target, wanted: Filter) -> Summary:
    from contextlib import aclosing

    from pipeline.clickhouse.client import Client
    from pipeline.dead_letters.reading import Letters
    from pipeline.dead_letters.summary import Summary, states_of

    client, summary = Client(target.settings.clickhouse, read_timeout_s=_READ_TIMEOUT_S), Summary()
    try:
        with _bar("reading") as (on_total, on_read, _):
            async with aclosing(Letters(target.settings.kafka.bootstrap_servers, on_total, on_read).pages()) as pages:
                async for page in pages:
                    letters = [letter for letter in page if wanted.takes(letter)]
                    for letter, state in zip(letters, await states_of(client, letters), strict=True):
                        summary.add(letter, state)
    finally:
        await client.close()
    return summary


async def _replay(target: Target, request: Request, report: Report, *, dry_run: bool) -> None:
    from pipeline.agents.repair_horizon import Horizon, TopicEnds, settle
    from pipeline.cli.publishing import Patience
    from pipeline.cli.replaying import replay as go_through
    from pipeline.cli.replaying import to_kafka
    from pipeline.clickhouse.client import Client
    from pipeline.dead_letters.reading import Letters
    from pipeline.runtime.clock import SystemClock
    from pipeline.runtime.producer import start_producer, stop_producer

    servers, clock = target.settings.kafka.bootstrap_servers, SystemClock()
    client, ends, producer = Client(target.settings.clickhouse, read_timeout_s=_READ_TIMEOUT_S), TopicEnds(servers), None
    try:
        horizon = Horizon()
        progress = await settle(horizon, client, ends, clock, _PATIENCE_S)
        report.unread_records = horizon.unread(progress)
        with _bar("reading" if dry_run else "replaying") as (on_total, on_read, wait):
            send = None
            if not dry_run:
                producer = await start_producer(servers, "nutricoach-replay", max_request_bytes=2 << 20)
                send = to_kafka(producer, clock, Patience(clock, tell=wait), report)
            await go_through(Letters(servers, on_total, on_read), client, progress, clock, request, report, send)
    finally:
        await ends.close()
        await client.close()
        if producer is not None:
            await stop_producer(producer)


def _print(report: Report, format: Format, *, dry_run: bool) -> None:
    if format == "json":
        import orjson

        print(orjson.dumps({"dry_run": dry_run, **report.as_document()}).decode())
    else:
        from pipeline.cli.tailing import clean

        print("\n".join(map(clean, as_text(report, dry_run=dry_run))))


def as_text(report: Report, *, dry_run: bool) -> Iterator[str]:
    """Lines for people."""
    done = "would be replayed" if dry_run else "replayed"
    refused = sum(report.refused.values())
    yield f"{report.matched:,} dead letters match: {report.ready:,} {done}, {report.stored:,} stored already, {refused:,} still refused"
    if report.given_up:
        yield f"{report.given_up:,} are given up, refused after three replays; --force replays them all the same"
    for (code, reason), count in report.refused.most_common(SHOWN_REASONS):
        yield f"  {count:,} × {code}: {reason}"
    if report.unreadable:
        yield f"{report.unreadable:,} records of dlq.v1 are no dead letters"
    if report.unread_records:
        yield f"{report.unread_records:,} records of events.v1 have not been read yet: what is among them is not known to be stored"
    if report.has_more:
        yield "there may be more: run it again"
    if report.ready:
        yield "moves:" if not dry_run else "would move:"
        yield from _moves(report)


def _moves(report: Report) -> Iterator[str]:
    document = report.moves.as_document()
    for row in document["metrics"]:
        labels = ", ".join(f"{name}={value}" for name, value in row["labels"].items())
        total = f", sum +{row['sum']:,} {row['unit']}".rstrip() if row["unit"] else ""
        yield f"  {row['metric']}{{{labels}}}: +{row['count']:,}{total}"
    for row in document["events"]:
        yield f"  {row['event_type']} in the hour from {row['hour']}: +{row['count']:,}"
    yield f"  user_days: +{document['user_days']:,}; first_exposures: {document['first_exposures']:,} new or earlier"
    if document["hours_too_old"]:
        hours = len({row["hour"] for row in document["hours_too_old"]})
        yield f"  {hours:,} hours are so old that their panes stay as they are: the events are stored, no metric moves there"


@contextmanager
def _bar(doing: str) -> Iterator[tuple[Callable[[int], None], Callable[[int], None], Callable[[str | None, float], None]]]:
    """How many records there are, how many have just been read, and why nothing goes on (None: it does), while the block runs."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("records"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=None)

        def wait(reason: str | None, seconds: float) -> None:
            bar.update(task, description=doing if reason is None else f"waiting for {seconds:.0f} s: {escape(reason)}")

        yield lambda total: bar.update(task, total=total), lambda count: bar.advance(task, count), wait


def _ms(instant: datetime | None) -> int | None:
    from schemas.timestamps import to_ms

    if instant is None:
        return None
    return to_ms(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
