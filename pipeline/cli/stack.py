"""Commands on the stack itself. What a command needs is imported when it runs: `telemetry status` answers at once."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pipeline.cli.options import DataDir, Format, state_dir

Workers = Annotated[int, Parameter(help="Worker processes, 1 to 12; each owns whole partitions of events.v1.")]
PortChoice = Annotated[
    Literal["fixed", "auto"],
    Parameter(
        help="fixed: Kafka 9092, ClickHouse 8123, gateway 8100, workers from 8110, alerter 8120, notifier 8130, host 8140, console 8150. "
        "auto: free ones."
    ),
]
Detach = Annotated[
    bool, Parameter(help="Return when the stack is ready; it goes on in the background until `telemetry down`.", negative="")
]
HostEvents = Annotated[bool, Parameter(help="Say every ten seconds how busy and how full this machine is, as resource_usage events.")]


def up(
    *, ports: PortChoice = "fixed", detach: Detach = False, workers: Workers = 1, host_events: HostEvents = True, data_dir: DataDir = None
) -> int:
    """Run the whole stack on loopback: Kafka, ClickHouse, gateway, workers, alerter, notifier, console, host reporter. Ctrl-C stops it.

    Docker is not needed: the broker is Apache Kafka on a JVM, the warehouse the ClickHouse engine, both from packages.
    State is kept in the data directory from run to run, the processes' output in its folder `logs`.
    A process that ends is started again, after 1, 2, 4 … 30 s.

    Example: `telemetry up --detach --workers 2`
    """
    from pipeline.embedded.up import UpOptions, run, run_detached

    options = UpOptions(state_dir(data_dir), workers, ports == "auto", host_events)
    began = time.monotonic()

    def report(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    def ready() -> None:
        report(f"the stack is ready after {time.monotonic() - began:.1f} s")
        stop = "telemetry down" if data_dir is None else f"telemetry down --data-dir {data_dir}"
        print(_where(options.data_dir, stop if detach else "Ctrl-C"), flush=True)

    if detach:
        run_detached(options, report)
        ready()
    else:
        run(options, report, ready)
    return 0


def status(*, format: Format = "text", data_dir: DataDir = None) -> int:
    """Say what runs: state, addresses, and each role with its process and restarts. Exit 0 only when all is ready.

    Example: `telemetry status --format json`
    """
    from pipeline.embedded.status import status as ask

    answer = ask(state_dir(data_dir))
    print(json.dumps(answer) if format == "json" else _status_text(answer))
    return 0 if answer["state"] == "ready" else 1


def down(*, data_dir: DataDir = None) -> int:
    """Stop the stack, roles first, then the servers; what is left after 8 s is killed. Nothing running is fine.

    Example: `telemetry down`
    """
    from pipeline.embedded.stopping import stop_stack

    place = state_dir(data_dir)
    print("stopped" if stop_stack(place) else f"nothing runs on {place}")
    return 0


def doctor(*, format: Format = "text", data_dir: DataDir = None) -> int:
    """Check that this machine can run the stack: Python, settings, Java, Kafka, ClickHouse, disk, memory, ports.

    Example: `telemetry doctor`
    """
    from pipeline.embedded.doctor import examine

    checks = []
    for check in examine(state_dir(data_dir)):
        checks.append(check)
        if format == "text":
            print(f"{'ok     ' if check.ok else 'problem'}  {check.name}: {check.detail}", flush=True)
    if format == "json":
        print(json.dumps({"ok": all(check.ok for check in checks), "checks": [_check_row(check) for check in checks]}))
    return 0 if all(check.ok for check in checks) else 1


def topics(*, data_dir: DataDir = None) -> int:
    """Create the topics that are missing and correct their settings; what is right already is left alone.

    Example: `TELEMETRY_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 telemetry topics`
    """
    import asyncio

    from pipeline.cli.address import resolve
    from pipeline.runtime.topics_admin import ensure_topics

    lines = asyncio.run(ensure_topics(resolve(data_dir).settings.kafka.bootstrap_servers))
    print("\n".join(lines) or "all topics are as they should be")
    return 0


def migrate(*, data_dir: DataDir = None) -> int:
    """Apply the migrations of ClickHouse that it has not had yet.

    Example: `TELEMETRY_CLICKHOUSE__URL=http://clickhouse:8123 telemetry migrate`
    """
    import asyncio

    from pipeline.cli.address import resolve
    from pipeline.clickhouse.migrations import migrate as apply

    lines = asyncio.run(apply(resolve(data_dir, writer=True).settings))
    print("\n".join(lines) or "all migrations had been applied")
    return 0


def _where(data_dir: Any, stop: str) -> str:
    from pipeline.embedded.stack_state import running_state

    state = running_state(data_dir)
    assert state is not None
    rows = (
        ("gateway", f"{state.gateway}/v1/events"),
        ("ClickHouse", f"{state.clickhouse} (as the reader, without credentials)"),
        ("Kafka", state.kafka),
        ("console", f"{state.console} (open incidents)"),
        ("state, logs", f"{data_dir}"),
        ("stop", stop),
    )
    return "\n".join(f"  {name:<12} {value}" for name, value in rows)


def _status_text(answer: dict[str, Any]) -> str:
    roles: dict[str, dict[str, Any]] = answer.get("roles", {})
    lines = [str(answer["state"])]
    lines += [f"  {name:<21}{answer[name]}" for name in ("gateway", "clickhouse", "kafka", "console") if answer.get(name)]
    for name, role in roles.items():
        process = f"pid {role['pid']}" if role["pid"] else "no process"
        restarts = f", {role['restarts']} restart{'s' if role['restarts'] > 1 else ''}" if role["restarts"] else ""
        lines.append(f"  {name:<21}{role['state']:<10}{process}{restarts}  {role['url'] or ''}".rstrip())
    return "\n".join(lines)


def _check_row(check: Any) -> dict[str, Any]:
    return {"check": check.name, "ok": check.ok, "detail": check.detail}
