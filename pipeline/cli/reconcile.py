"""`telemetry reconcile`: are the numbers of a period what its events say, and if not, make them so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from pipeline.aggregation.exposures import Exposure
    from pipeline.aggregation.panes import Snapshot
    from pipeline.cli.address import Target
    from pipeline.cli.reconciling import PaneDifference, Report
    from pipeline.clickhouse.repair_facts import FactDifference
    from pipeline.clickhouse.repair_user_days import UserDayDifference

#: So many differences of each kind are shown one by one.
SHOWN = 20
#: A comparison reads more than a worker's usual question.
_READ_TIMEOUT_S = 120
_HOUR_S = 3_600


def reconcile(
    *,
    from_: Annotated[str, Parameter(name="--from", help="Beginning, UTC unless it says otherwise; rounded down to the hour.")],
    to: Annotated[str, Parameter(help="End, which is not part of the period; rounded up to the hour.")],
    repair: Annotated[bool, Parameter(negative="", help="Write what is right, to ClickHouse and panes.v1.")] = False,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Recompute panes, first exposures and days of users of a period from its events, show what differs, repair it with --repair.

    Workers may go on meanwhile. Panes that are still open are theirs and left out; an hour whose first record was received more than
    80 days ago is refused, because events of it may be gone. Exit 1 when something differs and was not repaired, or was refused.

    Example: `telemetry reconcile --from 2026-11-23 --to 2026-11-24`, `telemetry reconcile --from 2026-11-23T10:00Z --to 2026-11-23T12:00Z
    --repair`
    """
    from pipeline.cli.address import resolve
    from pipeline.cli.instants import instant
    from pipeline.runtime.errors import ConfigurationError

    begin_s = int(instant("--from", from_).timestamp()) // _HOUR_S * _HOUR_S
    end_s = -(-int(instant("--to", to).timestamp()) // _HOUR_S) * _HOUR_S
    if begin_s >= end_s:
        raise ConfigurationError("--from must be before --to")
    report = asyncio.run(_reconcile(resolve(data_dir, writer=repair), begin_s * 1000, end_s * 1000, repair=repair))
    if format == "json":
        import orjson

        print(orjson.dumps(as_document(report, repair=repair)).decode())
    else:
        print("\n".join(as_text(report, repair=repair)))
    differs = report.unrepaired if repair else report.pane_count + report.fact_count + report.user_day_count
    return 1 if differs or report.refused else 0


async def _reconcile(target: Target, from_ms: int, to_ms: int, *, repair: bool) -> Report:
    from functools import partial

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pipeline.agents.repair_horizon import TopicEnds
    from pipeline.cli.reconciling import Reconciliation
    from pipeline.clickhouse.client import Client
    from pipeline.runtime.clock import SystemClock
    from pipeline.runtime.producer import send_all, start_producer, stop_producer
    from schemas.topics import DLQ

    servers = target.settings.kafka.bootstrap_servers
    client, ends, producer = Client(target.settings.clickhouse, read_timeout_s=_READ_TIMEOUT_S), TopicEnds(servers), None
    console = Console(stderr=True)
    columns = (TextColumn("comparing"), BarColumn(), MofNCompleteColumn(), TextColumn("hours"), TimeRemainingColumn())
    try:
        if repair:
            largest = int(DLQ.config["max.message.bytes"])
            producer = await start_producer(servers, "nutricoach-reconcile", compression="zstd", max_request_bytes=largest)
        send = partial(send_all, producer) if producer is not None else None
        reconciliation = Reconciliation(client, send, SystemClock(), from_ms, to_ms)
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("comparing", total=None)
            return await reconciliation.run(ends, lambda n: bar.update(task, total=n), lambda n: bar.advance(task, n))
    finally:
        await ends.close()
        await client.close()
        if producer is not None:
            await stop_producer(producer)


def as_text(report: Report, *, repair: bool) -> Iterator[str]:
    """Lines for people."""
    yield f"{report.hours:,} hours of partitions compared with {report.events:,} events"
    if report.unread_records:
        yield f"{report.unread_records:,} records of events.v1 have not been read yet: run this again when they have"
    if report.open_from_ms:
        since = _iso(min(report.open_from_ms.values()))
        yield f"open panes of {len(report.open_from_ms)} partitions are left to their workers, the earliest from {since}"
    for difference in report.panes[:SHOWN]:
        yield _pane_line(difference)
    for fact in report.facts[:SHOWN]:
        yield f"first exposure of {fact.key[0]} to {fact.key[1]}: stored {_exposure_text(fact.stored)}, right {_exposure_text(fact.right)}"
    for day in report.user_days[:SHOWN]:
        user_id, since_ms = day.active
        yield f"{user_id} active on the day from {_iso(since_ms)}: {'stored, right nothing' if day.is_stored else 'stored nothing'}"
    if max(len(report.panes), len(report.facts), len(report.user_days)) > SHOWN:
        yield "…; --format json shows more"
    if report.refused:
        first = _iso(min(hour_ms for _, hour_ms in report.refused))
        why = "so old that events may be gone, or with events that cannot be folded"
        yield f"{len(report.refused):,} hours are refused, the earliest is {first}: {why}"
    if not report.pane_count and not report.fact_count and not report.user_day_count:
        yield "nothing differs"
        return
    outcome = ""
    if repair:
        outcome = f": {report.unrepaired:,} differ still, rows with a higher version stand" if report.unrepaired else ": repaired"
    counts = f"{report.pane_count:,} panes, {report.fact_count:,} first exposures and {report.user_day_count:,} days of users"
    yield f"{counts} differ{outcome}"


def as_document(report: Report, *, repair: bool) -> dict[str, Any]:
    """The same for programs. At most 1,000 differences of each kind are listed, all are counted."""
    return {
        "hours": report.hours,
        "events": report.events,
        "pane_count": report.pane_count,
        "panes": [_pane_document(difference) for difference in report.panes],
        "fact_count": report.fact_count,
        "facts": [_fact_document(fact) for fact in report.facts],
        "user_day_count": report.user_day_count,
        "user_days": [_user_day_document(difference) for difference in report.user_days],
        "refused": [{"partition": partition, "hour": _iso(hour_ms)} for partition, hour_ms in report.refused],
        "open": [{"partition": partition, "from": _iso(ms)} for partition, ms in sorted(report.open_from_ms.items())],
        "unread_records": report.unread_records,
        "repaired": repair and not report.unrepaired,
    }


def _pane_line(found: PaneDifference) -> str:
    document = _pane_document(found)
    labels = ", ".join(f"{name}={value}" for name, value in document["labels"].items())
    stored, right = (document[side] for side in ("stored", "right"))
    was = "nothing" if stored is None else f"{stored['count']} events, sum {stored['sum']}"
    where = f"partition {found.partition}, {document['start']}"
    return f"{document['metric']}{{{labels}}} {where}: stored {was}; right {right['count']} events, sum {right['sum']} ({found.cause})"


def _pane_document(found: PaneDifference) -> dict[str, Any]:
    from pipeline.aggregation.panes import named_labels

    right = found.difference.right
    return {
        "metric": right.metric,
        "labels": named_labels(right.metric, right.labels),
        "start": _iso(right.start_ms),
        "partition": found.partition,
        "stored": _content(found.difference.stored),
        "right": _content(right),
        "cause": found.cause,
    }


def _content(snapshot: Snapshot | None) -> dict[str, Any] | None:
    """`sum` in millionths, as everywhere."""
    if snapshot is None:
        return None
    buckets = {str(index): n for index, n in snapshot.buckets.items()}
    return {"count": snapshot.count, "sum": snapshot.sum_millionths, "buckets": buckets, "version": snapshot.version}


def _fact_document(fact: FactDifference) -> dict[str, Any]:
    stored, right = (
        None if seen is None else {"first_at": _iso(seen.first_at_ms), "event_id": seen.event_id, "variant": seen.variant}
        for seen in (fact.stored, fact.right)
    )
    return {"subject": fact.key[0], "flag": fact.key[1], "stored": stored, "right": right}


def _user_day_document(difference: UserDayDifference) -> dict[str, Any]:
    user_id, since_ms = difference.active
    return {"user_id": user_id, "since": _iso(since_ms), "stored": difference.is_stored}


def _exposure_text(seen: Exposure | None) -> str:
    return "nothing" if seen is None else f"{seen.variant} at {_iso(seen.first_at_ms)}"


def _iso(ms: int) -> str:
    from schemas.timestamps import isoformat_of

    return isoformat_of(ms)
