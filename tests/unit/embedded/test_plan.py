from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.embedded.plan import Plan, RoleSpec, StepSpec, plan
from pipeline.embedded.ports import Ports
from pipeline.embedded.writer import Writer

PORTS = Ports(kafka=1001, clickhouse=1002, gateway=1003, alerter=1004, notifier=1005, console=1009, workers=(1006, 1007), host=1008)
SETTINGS = {
    "PATH": "/bin",
    "SENTRY_DSN": "https://key@sentry/1",
    "KAFKA_HOME": "/opt/kafka",
    "TELEMETRY_WORKER__CHUNK_RECORDS": "500",
    "TELEMETRY_GATEWAY__WRITE_KEYS": "write-key",
    "TELEMETRY_GATEWAY__PEPPER": "pepper",
    "TELEMETRY_RECEIVERS__PAGERDUTY__ROUTING_KEY": "routing-key",
    "telemetry_receivers__slack_critical__url": "https://hook",
    "TELEMETRY_CONSOLE__SLACK_SIGNING_SECRET": "signing-secret",
    "TELEMETRY_CLICKHOUSE__USER": "other",
    "TELEMETRY_CLICKHOUSE__PASSWORD": "other-password",
    "TELEMETRY_KAFKA__BOOTSTRAP_SERVERS": "elsewhere:9092",
}
SECRETS = {"write-key", "pepper", "routing-key", "https://hook", "signing-secret", "other-password", "writer-password"}


@pytest.fixture
def whole() -> Plan:
    return plan(Path("/data"), PORTS, Writer("writer", "writer-password"), SETTINGS)


def processes(whole: Plan) -> list[RoleSpec | StepSpec]:
    return [*whole.servers, *whole.steps, *whole.roles]


def test_every_process_of_the_contract_is_there(whole: Plan) -> None:
    """Servers, the two steps behind their servers, and a role each, with as many workers as ports."""
    assert [spec.name for spec in whole.servers] == ["embedded-kafka", "embedded-clickhouse"]
    assert {step.name: step.after for step in whole.steps} == {"topics": "embedded-kafka", "migrate": "embedded-clickhouse"}
    assert sorted(spec.name for spec in whole.roles) == ["alerter", "console", "gateway", "host", "notifier", "worker-0", "worker-1"]


def test_secrets_go_only_to_whom_needs_them(whole: Plan) -> None:
    """Write keys and pepper to the gateway, receivers' to the notifier, webhooks' to the console, the writer's password to who writes."""
    held = {spec.name: SECRETS & set(spec.env.values()) for spec in processes(whole)}
    assert held == {
        "embedded-kafka": set(),
        "embedded-clickhouse": {"writer-password"},
        "topics": set(),
        "migrate": {"writer-password"},
        "gateway": {"write-key", "pepper"},
        "worker-0": {"writer-password"},
        "worker-1": {"writer-password"},
        "alerter": set(),
        "notifier": {"routing-key", "https://hook"},
        "console": {"signing-secret"},
        "host": set(),
    }


def test_addresses_of_the_stack_win_over_the_settings(whole: Plan) -> None:
    """Every role talks to the Kafka and the ClickHouse that were started with it."""
    for spec in processes(whole)[len(whole.servers) :]:
        assert spec.env["TELEMETRY_KAFKA__BOOTSTRAP_SERVERS"] == "127.0.0.1:1001"
        assert spec.env["TELEMETRY_CLICKHOUSE__URL"] == "http://127.0.0.1:1002"
        assert spec.env["TELEMETRY_WORKER__CHUNK_RECORDS"] == "500"
        assert spec.env["SENTRY_DSN"] == "https://key@sentry/1"


def test_each_role_has_a_health_address_of_its_own(whole: Plan) -> None:
    """Gateway and console serve health beside the rest, all others where TELEMETRY_HEALTH__PORT says; the url says the same."""
    ports = {"worker-0": "1006", "worker-1": "1007", "alerter": "1004", "notifier": "1005", "host": "1008"}
    ports |= {"gateway": "1003", "console": "1009"}
    settings = {"gateway": "TELEMETRY_GATEWAY__PORT", "console": "TELEMETRY_CONSOLE__PORT"}
    assert whole.addresses.console == "http://127.0.0.1:1009"
    for role in whole.roles:
        setting = settings.get(role.name, "TELEMETRY_HEALTH__PORT")
        assert role.env[setting] == ports[role.name]
        assert role.url == f"http://127.0.0.1:{ports[role.name]}"
        assert role.ready == f"{role.url}/readyz"


def test_servers_get_the_environment_but_no_settings(whole: Plan) -> None:
    """Java and the engine find their way (KAFKA_HOME, PATH), but are told nothing of the pipeline."""
    kafka, clickhouse = whole.servers
    assert kafka.env == {name: SETTINGS[name] for name in ("PATH", "KAFKA_HOME")}
    assert set(clickhouse.env) - set(kafka.env) == {"TELEMETRY_CLICKHOUSE__USER", "TELEMETRY_CLICKHOUSE__PASSWORD"}


def test_state_is_kept_in_the_data_directory(whole: Plan) -> None:
    """Broker and engine each have a folder of their own in it."""
    kafka, clickhouse = whole.servers
    assert kafka.command[-4:] == ("--data-dir", "/data/kafka", "--port", "1001")
    assert clickhouse.command[-4:] == ("--path", "/data/clickhouse", "--port", "1002")


def test_commands_start_the_role_they_name(whole: Plan) -> None:
    """A worker's number is in its name only: the command is the one that people use."""
    assert {role.name: role.command[-1] for role in whole.roles} == {
        "gateway": "gateway",
        "worker-0": "worker",
        "worker-1": "worker",
        "alerter": "alerter",
        "notifier": "notifier",
        "console": "console",
        "host": "host",
    }


def test_without_host_events_there_is_no_host_reporter(whole: Plan) -> None:
    """It is what has no port; with one it looks at the disk that the data directory is on."""
    (host,) = [spec for spec in whole.roles if spec.name == "host"]
    assert host.env["TELEMETRY_HOST__DIRECTORY"] == "/data"
    without = plan(Path("/data"), replace(PORTS, host=None), Writer("writer", "writer-password"), SETTINGS)
    assert [spec.name for spec in whole.roles if spec not in without.roles] == ["host"]
