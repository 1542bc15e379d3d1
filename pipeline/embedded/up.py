"""Starts a stack on a data directory, in this process or in one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from dotenv import dotenv_values

from pipeline.embedded.plan import Plan, plan
from pipeline.embedded.ports import HOST, Ports, fixed_ports, free_ports, refuse_taken
from pipeline.embedded.stack_state import Phase, held, running_state
from pipeline.embedded.stopping import end_leftovers
from pipeline.embedded.supervisor import Report, Supervisor
from pipeline.embedded.writer import keep_writer
from pipeline.runtime.errors import ConfigurationError, Stop, TelemetryError
from pipeline.runtime.settings import Settings, load_settings

MINIMUM_FREE_BYTES = 512 << 20
MAX_WORKERS = 12  # partitions of events.v1: more would have nothing to do

_LOOPBACK = (HOST, "localhost")
_FOLDER = "TELEMETRY_ALERTING__CONFIG_DIR"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """`auto_ports` takes free ports instead of the fixed ones; `host_events` runs the host reporter."""

    data_dir: Path
    workers: int = 1
    auto_ports: bool = False
    host_events: bool = True


def run(options: UpOptions, report: Report, ready: Callable[[], None]) -> None:
    """Run the stack in this process until SIGINT, SIGTERM or SIGHUP; `ready` is called once it is.

    Raises Stop (ConfigurationError) with one line when it cannot start; nothing of it is left running then.
    """

    def decide() -> Plan:
        settings = load_settings()
        ports = choose_ports(options, settings)
        refuse_taken(ports)
        writer = keep_writer(options.data_dir, settings.clickhouse.user, settings.clickhouse.password.get_secret_value())
        return plan(options.data_dir, ports, writer, environment())

    hold_and_run(options.data_dir, decide, report, ready)


def hold_and_run(data_dir: Path, decide: Callable[[], Plan], report: Report, ready: Callable[[], None]) -> None:
    """Run what `decide` plans on `data_dir`, as `run` does; it is asked once the directory is ours and cleared of a dead stack."""
    with _full_disk_is_a_line(data_dir):
        make_directories(data_dir)
        with held(data_dir):
            end_leftovers(data_dir)
            refuse_full_disk(data_dir, shutil.disk_usage(data_dir).free)
            asyncio.run(_supervise(Supervisor(data_dir, decide(), report), ready))


def run_detached(options: UpOptions, report: Report) -> None:
    """Start a process of its own that runs the stack; returns when it is ready.

    Raises Stop with its last line when it does not get there.
    """
    logs = options.data_dir / "logs"
    with _full_disk_is_a_line(options.data_dir):
        make_directories(options.data_dir)
        with (logs / "supervisor.log").open("ab") as log:
            argument = json.dumps({**asdict(options), "data_dir": str(options.data_dir)})
            command = [sys.executable, "-P", "-m", __name__, argument]
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True, text=True
            )
    assert process.stdout is not None
    last = ""
    try:
        with process.stdout:
            for line in process.stdout:  # it closes its end when it is ready, or ends
                if last:
                    report(last)
                last = line.rstrip("\n")
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    state = running_state(options.data_dir)
    if state is None or state.supervisor.pid != process.pid or state.phase is not Phase.RUNNING:
        process.wait()
        raise Stop(last or f"the stack ended at once; see {logs / 'supervisor.log'}")
    report(last)


def make_directories(data_dir: Path) -> None:
    """The data directory and its logs, for their owner only: events are in them. Raises Stop when they cannot be made."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise Stop(f"{data_dir} cannot be made: {error.strerror}; name another place with --data-dir") from None


def choose_ports(options: UpOptions, settings: Settings) -> Ports:
    """Free ports when asked for, else the ones the settings name. Raises ConfigurationError for what cannot be."""
    if not 1 <= options.workers <= MAX_WORKERS:
        raise ConfigurationError(f"--workers is {options.workers}, and events.v1 has partitions for 1 to {MAX_WORKERS}")
    if options.auto_ports:
        return free_ports(options.workers, host_events=options.host_events)
    return fixed_ports(
        kafka=_loopback_port("TELEMETRY_KAFKA__BOOTSTRAP_SERVERS", f"kafka://{settings.kafka.bootstrap_servers}"),
        clickhouse=_loopback_port("TELEMETRY_CLICKHOUSE__URL", settings.clickhouse.url),
        gateway=settings.gateway.port,
        console=settings.console.port,
        workers=options.workers,
        host_events=options.host_events,
    )


def environment() -> dict[str, str]:
    """This process's environment over `.env`: what the roles get. They run in the data directory, so folders are absolute."""
    from_file: Mapping[str, str | None] = dotenv_values(".env")
    found = {**{name: value for name, value in from_file.items() if value is not None}, **os.environ}
    return {name: str(Path(value).expanduser().absolute()) if name.upper() == _FOLDER and value else value for name, value in found.items()}


def refuse_full_disk(data_dir: Path, free_bytes: int) -> None:
    """Raises Stop when `free_bytes` is too little to start with."""
    if free_bytes < MINIMUM_FREE_BYTES:
        needed = f"{MINIMUM_FREE_BYTES >> 20} MiB are needed"
        raise Stop(f"{free_bytes >> 20} MiB are free on the disk of {data_dir}, {needed}: free some, or name another place with --data-dir")


async def _supervise(supervisor: Supervisor, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await supervisor.run(stop, ready)


def _loopback_port(setting: str, address: str) -> int:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host not in _LOOPBACK or port is None:
        raise ConfigurationError(
            f"{setting} is {address.removeprefix('kafka://')}, and `up` listens on {HOST}:PORT only; unset it or name a port"
        )
    return port


@contextlib.contextmanager
def _full_disk_is_a_line(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            raise
        what = os.strerror(error.errno)
        raise Stop(f"{data_dir} cannot be written: {what}; free some space, or name another place with --data-dir") from None


def main(argument: str) -> NoReturn:
    """The detached process: progress to standard output until it is ready, then to the log, which standard error is."""
    given = json.loads(argument)
    options = UpOptions(**{**given, "data_dir": Path(given["data_dir"])})

    to_log = False

    def report(line: str) -> None:
        at = f"{datetime.now(UTC).isoformat(timespec='milliseconds')} " if to_log else ""
        print(f"{at}{line}", flush=True)  # noqa: T201 - the pipe to the one who waits, or the log

    def ready() -> None:
        nonlocal to_log
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        to_log = True

    try:
        run(options, report, ready)
    except TelemetryError as error:
        report(str(error))
        sys.exit(error.exit_code if isinstance(error, Stop) else 1)
    sys.exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
