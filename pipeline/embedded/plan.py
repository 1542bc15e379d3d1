"""What `telemetry up` runs, as data: every process with its command, its environment and how it says that it is ready."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.embedded.ports import HOST, Ports
from pipeline.embedded.writer import Writer

_PYTHON = (sys.executable, "-P", "-m")  # -P: nothing is imported from the data directory, where they run
_ROLE = (*_PYTHON, "pipeline.cli.main")

# Whoever does not need a secret does not get it: settings that begin so are kept from all other roles.
_FOR_ONE_ROLE = {
    "TELEMETRY_RECEIVERS__": "notifier",
    "TELEMETRY_GATEWAY__": "gateway",
    "TELEMETRY_CONSOLE__": "console",
    "TELEMETRY_HOST__": "host",
}
_SERVES_PEOPLE = ("gateway", "console")  # health stands beside what they serve, on its port


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """A process that is kept running. `ready` is what `readiness.is_ready` asks; `url` serves /healthz, /readyz and /metrics."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    ready: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A command that runs once, when the server named `after` is ready, and must end with 0."""

    name: str
    after: str
    command: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Addresses:
    """What people connect to; `kafka` is host:port, the others are URLs."""

    kafka: str
    clickhouse: str
    gateway: str
    console: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Servers come up first, side by side, each followed by its steps; then all roles; they go down the other way round."""

    addresses: Addresses
    servers: tuple[RoleSpec, ...]
    steps: tuple[StepSpec, ...]
    roles: tuple[RoleSpec, ...]


def plan(data_dir: Path, ports: Ports, writer: Writer, environ: Mapping[str, str]) -> Plan:
    """The whole stack on `ports`, with the settings of `environ` passed on; only worker and migrations get the writer."""
    addresses = Addresses(f"{HOST}:{ports.kafka}", _url(ports.clickhouse), _url(ports.gateway), _url(ports.console))
    writing = {"TELEMETRY_CLICKHOUSE__USER": writer.user, "TELEMETRY_CLICKHOUSE__PASSWORD": writer.password}
    alone = {name: value for name, value in environ.items() if not name.upper().startswith(("TELEMETRY_", "SENTRY_"))}

    def role(name: str, port: int, **more: str) -> RoleSpec:
        kind = name.partition("-")[0]
        setting = f"TELEMETRY_{kind.upper() if kind in _SERVES_PEOPLE else 'HEALTH'}__PORT"
        env = {**_env_of(kind, environ, addresses), setting: str(port), **more}
        return RoleSpec(name, (*_ROLE, kind), env, f"{_url(port)}/readyz", _url(port))

    return Plan(
        addresses,
        servers=(_kafka(data_dir, ports.kafka, alone), _clickhouse(data_dir, ports.clickhouse, {**alone, **writing})),
        steps=(
            StepSpec("topics", "embedded-kafka", (*_ROLE, "topics"), _env_of("topics", environ, addresses)),
            StepSpec("migrate", "embedded-clickhouse", (*_ROLE, "migrate"), {**_env_of("migrate", environ, addresses), **writing}),
        ),
        roles=(
            role("gateway", ports.gateway),
            *(role(f"worker-{number}", port, **writing) for number, port in enumerate(ports.workers)),
            role("alerter", ports.alerter),
            role("notifier", ports.notifier),
            role("console", ports.console),
            *([] if ports.host is None else [role("host", ports.host, TELEMETRY_HOST__DIRECTORY=str(data_dir))]),
        ),
    )


def _kafka(data_dir: Path, port: int, env: Mapping[str, str]) -> RoleSpec:
    command = (*_PYTHON, "pipeline.embedded.kafka", "--data-dir", str(data_dir / "kafka"), "--port", str(port))
    return RoleSpec("embedded-kafka", command, env, f"kafka://{HOST}:{port}")


def _clickhouse(data_dir: Path, port: int, env: Mapping[str, str]) -> RoleSpec:
    command = (*_PYTHON, "pipeline.embedded.clickhouse_http", "--path", str(data_dir / "clickhouse"), "--port", str(port))
    return RoleSpec("embedded-clickhouse", command, env, f"{_url(port)}/ping")


def _env_of(role: str, environ: Mapping[str, str], addresses: Addresses) -> dict[str, str]:
    withheld = ("TELEMETRY_CLICKHOUSE__", *(prefix for prefix, owner in _FOR_ONE_ROLE.items() if owner != role))
    passed_on = {name: value for name, value in environ.items() if not name.upper().startswith(withheld)}
    for credential in ("TELEMETRY_CLICKHOUSE__USER", "TELEMETRY_CLICKHOUSE__PASSWORD"):
        passed_on.pop(credential, None)
    return {
        **passed_on,
        "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": addresses.kafka,
        "TELEMETRY_CLICKHOUSE__URL": addresses.clickhouse,
        "PYTHONUNBUFFERED": "1",
    }


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
