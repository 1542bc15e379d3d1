from __future__ import annotations

import socket

import pytest

from pipeline.embedded.ports import Ports, fixed_ports, free_ports, refuse_taken
from pipeline.runtime.errors import ConfigurationError, Stop


def test_fixed_ports_are_those_of_the_documents() -> None:
    """Workers count up from 8110, the alerter has 8120, the notifier 8130, the host reporter 8140; the others are the settings'."""
    ports = fixed_ports(kafka=9092, clickhouse=8123, gateway=8100, console=8150, workers=3)
    assert dict(ports.by_role()) == {
        "embedded-kafka": 9092,
        "embedded-clickhouse": 8123,
        "gateway": 8100,
        "worker-0": 8110,
        "worker-1": 8111,
        "worker-2": 8112,
        "alerter": 8120,
        "notifier": 8130,
        "console": 8150,
        "host": 8140,
    }
    without = fixed_ports(kafka=9092, clickhouse=8123, gateway=8100, console=8150, workers=3, host_events=False)
    assert dict(ports.by_role()).keys() - dict(without.by_role()).keys() == {"host"}


def test_more_workers_than_fixed_ports_names_the_way_out() -> None:
    """An eleventh worker would get the alerter's port."""
    with pytest.raises(ConfigurationError, match="--ports auto"):
        fixed_ports(kafka=9092, clickhouse=8123, gateway=8100, console=8150, workers=11)


def test_free_ports_are_distinct_and_free() -> None:
    """All ports differ and can be listened on."""
    ports = free_ports(4)
    numbers = [port for _, port in ports.by_role()]
    assert len(set(numbers)) == len(numbers) == 11
    assert "host" not in dict(free_ports(4, host_events=False).by_role())
    refuse_taken(ports)


@pytest.mark.parametrize(
    ("role", "remedy"),
    [
        ("kafka", r"\(embedded-kafka\).*TELEMETRY_KAFKA__BOOTSTRAP_SERVERS.*--ports auto"),
        ("clickhouse", r"\(embedded-clickhouse\).*TELEMETRY_CLICKHOUSE__URL.*--ports auto"),
        ("gateway", r"\(gateway\).*TELEMETRY_GATEWAY__PORT.*--ports auto"),
        ("console", r"\(console\).*TELEMETRY_CONSOLE__PORT.*--ports auto"),
        ("notifier", r"\(notifier\).*--ports auto"),
    ],
)
def test_taken_port_is_named_with_what_to_do(role: str, remedy: str) -> None:
    """The line has the port, whose it is, the setting that moves it where there is one, and the flag."""
    free = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken: int = other.getsockname()[1]
        ports = Ports(**{**{name: getattr(free, name) for name in Ports.__slots__}, role: taken})
        with pytest.raises(Stop, match=f"port {taken} {remedy}") as refused:
            refuse_taken(ports)
    assert "\n" not in str(refused.value)
