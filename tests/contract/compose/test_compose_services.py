import http.server
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.compose.stack import JOBS, ROLES, ROOT, Services

HEALTH_PORT = 8100


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on loopback that answers every GET with `status`; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_images_are_pinned(services: Services) -> None:
    """Every image has a version of at least major and minor, so a start today and next year run the same program."""
    tags = {name: spec["image"].rpartition(":")[2] for name, spec in services.items()}
    assert {name: tag for name, tag in tags.items() if not re.match(r"v?\d+\.\d+", tag)} == {}


def test_our_image_has_our_version_and_is_never_pulled(services: Services) -> None:
    """The roles and jobs run what this checkout builds."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for name in ROLES | JOBS:
        assert services[name]["image"] == f"nutricoach-telemetry:{version}"
        assert services[name]["pull_policy"] == "build"
        assert Path(services[name]["build"]["context"]) == ROOT


def test_every_mounted_file_exists(services: Services) -> None:
    """Docker makes an empty directory of a bind source that is missing, and the server starts without its settings."""
    binds = [mount for spec in services.values() for mount in spec.get("volumes", []) if mount["type"] == "bind"]
    assert len(binds) == 6
    for mount in binds:
        assert Path(mount["source"]).exists(), mount["source"]
        assert mount["read_only"], mount["source"]


def test_state_is_in_named_volumes(resolved: dict[str, Any], services: Services) -> None:
    """What must survive `docker compose down` is in a volume with a name; nobody else may write to it."""
    volumes = [(name, mount) for name, spec in services.items() for mount in spec.get("volumes", []) if mount["type"] == "volume"]
    mounted = {(name, mount["source"]) for name, mount in volumes if not mount.get("read_only")}
    assert mounted == {(name, f"{name}-data") for name in ("kafka", "clickhouse", "grafana", "prometheus")}
    assert set(resolved["volumes"]) == {source for _, source in mounted}


def test_ports_are_on_loopback_only(services: Services) -> None:
    """Nothing of the stack is reachable from another machine."""
    ports = [port for spec in services.values() for port in spec.get("ports", [])]
    assert {port["published"] for port in ports} == {"3000", "8100", "8123", "8150", "9090", "9092"}
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_scaled_services_publish_no_port(services: Services) -> None:
    """A second container of a service could not bind the same host port."""
    scaled = {name: spec["deploy"]["replicas"] for name, spec in services.items() if "deploy" in spec}
    assert scaled == {"worker": 2, "alerter": 2}
    assert not any(services[name].get("ports") for name in scaled)


def test_every_service_is_bounded(services: Services) -> None:
    """Memory and logs have a limit everywhere."""
    for name, spec in services.items():
        assert int(spec["mem_limit"]) > 0, name
        assert spec["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}, name


def test_long_running_services_come_back_and_say_when_they_are_ready(services: Services) -> None:
    """All but the jobs restart by themselves and have a health check."""
    for name, spec in services.items():
        assert spec["restart"] == ("no" if name in JOBS else "unless-stopped"), name
        assert ("healthcheck" in spec) == (name not in JOBS), name


def test_order_of_start_is_one_that_can_be_met(services: Services) -> None:
    """Servers are waited for until healthy, jobs until they succeeded, and never the other way round."""
    waits = [(name, target, wait["condition"]) for name, spec in services.items() for target, wait in spec.get("depends_on", {}).items()]
    assert {(target, condition) for _, target, condition in waits} == {
        ("kafka", "service_healthy"), ("clickhouse", "service_healthy"),
        ("topics", "service_completed_successfully"), ("migrate", "service_completed_successfully"),
    }  # fmt: skip
    waiting_for_topics = {name for name, target, _ in waits if target == "topics"}
    assert waiting_for_topics == ROLES


def test_our_containers_can_do_little(services: Services) -> None:
    """Root filesystem read-only, no capability, no new privileges; thirty seconds to put away what is open."""
    for name in ROLES | JOBS:
        spec = services[name]
        assert spec["read_only"], name
        assert spec["cap_drop"] == ["ALL"], name
        assert spec["security_opt"] == ["no-new-privileges:true"], name
        assert spec["tmpfs"] == ["/tmp"], name
        assert spec["stop_grace_period"] == "30s", name


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
@pytest.mark.parametrize("role", sorted(ROLES))
def test_health_check_follows_readyz(services: Services, role: str, status: int, healthy: bool) -> None:
    """The command succeeds exactly when /readyz says 200, whatever proxy the Docker host hands into its containers."""
    command, *arguments = services[role]["healthcheck"]["test"][1:]
    assert command == "python"
    with answering(status) as port:
        here = [argument.replace(f":{HEALTH_PORT}/", f":{port}/") for argument in arguments]
        environment = os.environ | {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
        done = subprocess.run([sys.executable, *here], env=environment, capture_output=True, check=False)
    assert (done.returncode == 0) == healthy, done.stderr


def test_every_role_serves_where_it_is_asked(services: Services) -> None:
    """Health check, metrics and the published gateway and console use the one port the roles listen on inside their containers."""
    for name in ROLES:
        environment = services[name]["environment"]
        group = name.upper() if name in ("gateway", "console") else "HEALTH"
        assert environment[f"TELEMETRY_{group}__PORT"] == str(HEALTH_PORT), name
        assert environment[f"TELEMETRY_{group}__HOST"] == "0.0.0.0", name
    assert [port["target"] for name in ("gateway", "console") for port in services[name]["ports"]] == [HEALTH_PORT] * 2


def test_prometheus_scrapes_every_role() -> None:
    """Each role is a job, its containers found by the service's name, so scaled ones are scraped too."""
    scrapes = yaml.safe_load((ROOT / "grafana/compose/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    found = {
        scrape["job_name"]: [(target["names"], target["type"], target["port"]) for target in scrape["dns_sd_configs"]] for scrape in scrapes
    }
    assert found == {role: [([role], "A", HEALTH_PORT)] for role in ROLES}


def test_kafka_tells_each_side_an_address_it_can_reach(services: Services) -> None:
    """Containers are sent to kafka:9092, programs on this machine to the published port; the controller stays inside."""
    environment, ports = services["kafka"]["environment"], services["kafka"]["ports"]
    advertised = dict(entry.split("://") for entry in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listening = dict(entry.split("://") for entry in environment["KAFKA_LISTENERS"].split(","))
    assert advertised["INTERNAL"] == "kafka:9092"
    assert listening["INTERNAL"] == ":9092"
    assert {services[name]["environment"]["TELEMETRY_KAFKA__BOOTSTRAP_SERVERS"] for name in ROLES | {"topics"}} == {"kafka:9092"}
    assert [(f"127.0.0.1:{port['published']}", f":{port['target']}") for port in ports] == [(advertised["HOST"], listening["HOST"])]
    assert listening["CONTROLLER"].startswith("127.0.0.1:")


def test_clickhouse_client_and_server_agree(services: Services) -> None:
    """Whoever writes names the writer of the mounted users file; the alerter connects as the reader."""
    for name in ("worker", "migrate", "alerter"):
        assert services[name]["environment"]["TELEMETRY_CLICKHOUSE__URL"] == "http://clickhouse:8123"
    writers = {services[name]["environment"]["TELEMETRY_CLICKHOUSE__USER"] for name in ("worker", "migrate")}
    assert writers == {"telemetry_writer"}
    assert "<telemetry_writer>" in (ROOT / "grafana/compose/clickhouse-users.xml").read_text("utf-8")
    assert "TELEMETRY_CLICKHOUSE__USER" not in services["alerter"]["environment"]
