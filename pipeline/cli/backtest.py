"""`telemetry rules backtest`: what rules would have done with the flushes of a period."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format

if TYPE_CHECKING:
    from alerting.backtest import Backtest
    from alerting.config.load import AlertingConfig

CURRENT = "current"


def backtest(
    *,
    from_: Annotated[str, Parameter(name="--from", help="Beginning, UTC unless it says otherwise.")],
    to: Annotated[str, Parameter(help="End, which is not part of the period.")],
    rules: Annotated[
        Path | None, Parameter(help="Rules to compare with the current ones: a folder as for `rules check`, or one file of rules.")
    ] = None,
    data_dir: DataDir = None,
    format: Format = "text",
) -> int:
    """Run the alerter's own code over recorded flushes: fires, pages, time to detect, false alarms, and what other rules change.

    Flushes are read from Kafka, which keeps them for 3 days. What ClickHouse answered then is taken from the ledger; a question that was
    not asked then stays unanswered, and the terms that need it unknown. A false alarm is a fire that nobody acknowledged and that was
    over within 5 minutes.

    Example: `telemetry rules backtest --from 2026-11-23T10:00 --to 2026-11-23T11:00`, `telemetry rules backtest --from 2026-11-23 --to
    2026-11-24 --rules stricter.yaml`
    """
    from alerting.backtest_report import as_document, as_text
    from alerting.config.load import configured, load_config, with_rules
    from pipeline.cli.address import resolve
    from pipeline.cli.instants import instant
    from pipeline.cli.tailing import clean
    from pipeline.runtime.clock import SystemClock
    from pipeline.runtime.errors import ConfigurationError
    from schemas.timestamps import to_ms

    from_ms, end_ms = to_ms(instant("--from", from_)), min(to_ms(instant("--to", to)), SystemClock().now_ms())
    if from_ms >= end_ms:
        raise ConfigurationError("--from must be before --to, and in the past")
    settings = resolve(data_dir).settings
    current = configured(settings)
    configs = [(CURRENT, current)]
    if rules is not None:
        configs.append((rules.name, load_config(rules) if rules.is_dir() else with_rules(current, rules)))
    found = asyncio.run(_run(settings.kafka.bootstrap_servers, configs, from_ms, end_ms))
    if format == "json":
        import orjson

        print(orjson.dumps(as_document(found)).decode())
    else:
        print("\n".join(map(clean, as_text(found))))
    return 0


async def _run(bootstrap_servers: str, configs: list[tuple[str, AlertingConfig]], from_ms: int, end_ms: int) -> Backtest:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from alerting import backtest as replaying
    from pipeline.runtime.errors import RetryAfter, Stop

    columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=end_ms - from_ms)
        try:
            return await replaying.backtest(
                bootstrap_servers, configs, from_ms, end_ms, lambda at_ms: bar.update(task, completed=max(0, at_ms - from_ms))
            )
        except RetryAfter as away:
            raise Stop(str(away)) from away
