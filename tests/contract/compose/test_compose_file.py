import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.runtime.settings import unread_names
from tests.contract.compose.stack import JOBS, ROLES, ROOT, Services, compose_config

SECRET = re.compile(r"PASSWORD|KEY|PEPPER|DSN|RECEIVERS|SECRET")


def names_in_env_example() -> list[str]:
    """Every name .env.example sets or shows commented out."""
    return re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)


def receiver_settings() -> set[str]:
    """The settings of everybody alerting/config/routes.yaml can reach."""
    receivers = yaml.safe_load((ROOT / "alerting/config/routes.yaml").read_text("utf-8"))["receivers"]
    fields = {
        "slack": ["URL", "TOKEN", "CHANNEL"],
        "pagerduty": ["URL", "ROUTING_KEY"],
        "email": ["URL", "SENDER", "RECIPIENTS"],
        "ticket": ["URL", "TOKEN"],
        "webhook": ["URL", "TOKEN"],
    }
    return {
        f"TELEMETRY_RECEIVERS__{name.upper().replace('-', '_')}__{field}"
        for name, receiver in receivers.items()
        for field in fields[receiver["kind"]]
    }


def test_has_every_role_and_server(services: Services) -> None:
    """The stack is Kafka, ClickHouse, Grafana, Prometheus, the two jobs and the roles."""
    assert set(services) == ROLES | JOBS | {"kafka", "clickhouse", "grafana", "prometheus"}


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    """The check is a real one: a misspelt key does not pass it."""
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text("utf-8").replace("    mem_limit: 1g\n", "    mem_limits: 1g\n"), "utf-8")
    done = compose_config(broken, ROOT / ".env.example")
    assert done.returncode != 0
    assert "mem_limits" in done.stderr


@pytest.mark.parametrize("name", ["TELEMETRY_GATEWAY__WRITE_KEYS", "TELEMETRY_CLICKHOUSE__PASSWORD", "GRAFANA_ADMIN_PASSWORD"])
def test_does_not_start_without_a_secret(tmp_path: Path, name: str) -> None:
    """A required secret that is absent or empty stops Compose with a line that names it and where to look."""
    without = re.sub(rf"^{name}=.*$", f"{name}=", (ROOT / ".env.example").read_text("utf-8"), flags=re.MULTILINE)
    env_file = tmp_path / "env"
    env_file.write_text(without, "utf-8")
    done = compose_config(ROOT / "docker-compose.yml", env_file)
    assert done.returncode != 0
    assert f"required variable {name} is missing a value: set it in .env, see .env.example" in done.stderr


def test_optional_settings_of_env_reach_the_role_that_reads_them(tmp_path: Path) -> None:
    """What .env.example shows commented out arrives when it is switched on, and is absent, not empty, otherwise."""
    example = (ROOT / ".env.example").read_text("utf-8")
    switched_on = re.sub(r"^# (TELEMETRY_(?:RECEIVERS|GATEWAY|CONSOLE)__\w+|SENTRY_DSN)=.*$", r"\1=set", example, flags=re.MULTILINE)
    env_file = tmp_path / "env"
    env_file.write_text(switched_on, "utf-8")
    services = json.loads(compose_config(ROOT / "docker-compose.yml", env_file).stdout)["services"]
    plain = json.loads(compose_config(ROOT / "docker-compose.yml", ROOT / ".env.example").stdout)["services"]
    optional = set(re.findall(r"^# (TELEMETRY_(?:RECEIVERS|GATEWAY|CONSOLE)__\w+|SENTRY_DSN)=", example, re.MULTILINE))
    assert len(optional) >= 13
    for name in optional:
        assert "set" in {service.get("environment", {}).get(name) for service in services.values()}, name
        assert {service.get("environment", {}).get(name) for service in plain.values()} == {None}, name


def test_every_setting_is_one_the_program_reads(services: Services) -> None:
    """No TELEMETRY_* name of the compose file or of .env.example would be refused or ignored by the roles."""
    in_compose = {name for service in services.values() for name in service.get("environment", {})}
    names = {name for name in in_compose | set(names_in_env_example()) if name.startswith("TELEMETRY_")}
    assert len(names) > 10
    assert unread_names(names) == set()


def test_every_receiver_can_be_given_an_address(services: Services) -> None:
    """Whoever a rule or an escalation may name can be reached: compose hands the address on, .env.example shows it."""
    assert len(receiver_settings()) >= 30
    assert receiver_settings() <= services["notifier"]["environment"].keys()
    assert receiver_settings() <= set(names_in_env_example())


def test_secrets_are_written_nowhere(written: Services) -> None:
    """A secret is a reference into .env or passed through from it, never a value of the file."""
    found = {
        (service, name): value
        for service, spec in written.items()
        for name, value in spec.get("environment", {}).items()
        if SECRET.search(name)
    }
    assert len(found) >= 10
    assert {where for where, value in found.items() if value is not None and not str(value).startswith("${")} == set()


def test_each_role_gets_its_own_secrets_only(written: Services) -> None:
    """No database password with the gateway, none at all with the alerter; receivers' keys are the notifier's, webhooks' the console's."""
    secrets = {name: {key for key in spec.get("environment", {}) if SECRET.search(key)} - {"SENTRY_DSN"} for name, spec in written.items()}
    assert secrets == {
        "gateway": {"TELEMETRY_GATEWAY__WRITE_KEYS"},
        "worker": {"TELEMETRY_CLICKHOUSE__PASSWORD"},
        "migrate": {"TELEMETRY_CLICKHOUSE__PASSWORD"},
        "clickhouse": {"CLICKHOUSE_WRITER_PASSWORD"},
        "notifier": receiver_settings(),
        "console": {"TELEMETRY_CONSOLE__SLACK_SIGNING_SECRET", "TELEMETRY_CONSOLE__PAGERDUTY_SECRETS"},
        "grafana": {"GF_SECURITY_ADMIN_PASSWORD"},
        "alerter": set(),
        "host": set(),
        "topics": set(),
        "kafka": set(),
        "prometheus": set(),
    }
