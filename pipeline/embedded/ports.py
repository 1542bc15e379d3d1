"""Which loopback ports the stack listens on."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pipeline.runtime.errors import ConfigurationError, Stop

HOST = "127.0.0.1"

FIRST_WORKER = 8110
ALERTER = 8120
NOTIFIER = 8130
HOST_REPORTER = 8140
MAX_FIXED_WORKERS = ALERTER - FIRST_WORKER

# Below the ports that Linux gives to outgoing connections (32768 and up): what is free now is not lent out before it is used.
_CANDIDATES = range(10_000, 32_768)
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each process; `workers` in the order of the workers' numbers, `host` None without a host reporter."""

    kafka: int
    clickhouse: int
    gateway: int
    alerter: int
    notifier: int
    console: int
    workers: tuple[int, ...]
    host: int | None = None

    def by_role(self) -> Iterator[tuple[str, int]]:
        """(role, port) of every role."""
        yield from (("embedded-kafka", self.kafka), ("embedded-clickhouse", self.clickhouse), ("gateway", self.gateway))
        yield from ((f"worker-{number}", port) for number, port in enumerate(self.workers))
        yield from (("alerter", self.alerter), ("notifier", self.notifier), ("console", self.console))
        if self.host is not None:
            yield "host", self.host


def fixed_ports(*, kafka: int, clickhouse: int, gateway: int, console: int, workers: int, host_events: bool = True) -> Ports:
    """The ports people can rely on. Raises ConfigurationError when there are not that many for workers."""
    if workers > MAX_FIXED_WORKERS:
        raise ConfigurationError(f"there are fixed ports for {MAX_FIXED_WORKERS} workers; for {workers} add --ports auto")
    host = HOST_REPORTER if host_events else None
    return Ports(kafka, clickhouse, gateway, ALERTER, NOTIFIER, console, tuple(range(FIRST_WORKER, FIRST_WORKER + workers)), host)


def free_ports(workers: int, *, host_events: bool = True) -> Ports:
    """Ports that were all free a moment ago."""
    with ExitStack() as held:
        kafka, clickhouse, gateway, alerter, notifier, console, host, *rest = (_hold(held) for _ in range(7 + workers))
        return Ports(kafka, clickhouse, gateway, alerter, notifier, console, tuple(rest), host if host_events else None)


def free_port() -> int:
    """One port that was free a moment ago."""
    with ExitStack() as held:
        return _hold(held)


def refuse_taken(ports: Ports) -> None:
    """Raises Stop, with the port, its role and what to do, when somebody listens on one of `ports` already."""
    for role, port in ports.by_role():
        try:
            socket.create_server((HOST, port)).close()
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            raise Stop(f"port {port} ({role}) cannot be had: {reason}; {_remedy(role)}, or start with --ports auto") from None


_SETTINGS = {
    "embedded-kafka": "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS",
    "embedded-clickhouse": "TELEMETRY_CLICKHOUSE__URL",
    "gateway": "TELEMETRY_GATEWAY__PORT",
    "console": "TELEMETRY_CONSOLE__PORT",
}


def _remedy(role: str) -> str:
    setting = _SETTINGS.get(role)
    return "stop what listens there" + (f", name another in {setting}" if setting else "")


def _hold(held: ExitStack) -> int:
    for port in random.sample(_CANDIDATES, _TRIES):
        try:
            held.enter_context(socket.create_server((HOST, port)))
        except OSError:
            continue
        return port
    raise Stop(f"{_TRIES} ports of this machine were tried and all are taken; see what listens there with `ss -ltn`")
