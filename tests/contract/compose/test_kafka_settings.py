"""The broker of docker-compose.yml, started with the same settings on the same version of Kafka."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.client import AIOKafkaClient

from pipeline.embedded.java import find_java
from pipeline.embedded.kafka import properties_text
from pipeline.embedded.kafka_jars import class_path
from pipeline.embedded.ports import free_ports
from pipeline.embedded.readiness import is_ready
from tests.contract.compose.stack import Services
from tests.stack_fixtures import running

# What the image keeps for its own start script and does not turn into a property of the broker.
_OF_THE_IMAGE = {"CLUSTER_ID", "KAFKA_HEAP_OPTS"}


@dataclass(frozen=True, slots=True)
class Broker:
    """`internal` and `host` are the ports behind the listeners of those names; `advertised` what each sends its clients to."""

    internal: int
    host: int
    advertised: dict[str, str]


@pytest.fixture(scope="module")
def broker(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """As the image does it: KAFKA_LOG_DIRS is log.dirs and so on. Only directory and ports are others, and all are on loopback."""
    environment = services["kafka"]["environment"]
    directory = tmp_path_factory.mktemp("kafka")
    ports = free_ports(workers=0)
    internal, host, controller = f"127.0.0.1:{ports.kafka}", f"127.0.0.1:{ports.gateway}", f"127.0.0.1:{ports.alerter}"
    properties = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in environment.items() if name not in _OF_THE_IMAGE
    }
    properties["log.dirs"] = str(directory / "log")
    properties["controller.quorum.voters"] = properties["controller.quorum.voters"].replace("127.0.0.1:9093", controller)
    for address, here in ((":9092", internal), (":9094", host), ("127.0.0.1:9093", controller)):
        properties["listeners"] = properties["listeners"].replace(f"://{address}", f"://{here}")
    config = directory / "server.properties"
    config.write_text(properties_text(properties), "utf-8")
    java = [str(find_java().executable), *environment["KAFKA_HEAP_OPTS"].split(), "-cp", class_path()]
    _format(java, environment["CLUSTER_ID"], config)
    with running([*java, "kafka.Kafka", str(config)], directory / "kafka.log", lambda: is_ready(f"kafka://{internal}")):
        advertised = dict(entry.split("://") for entry in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
        yield Broker(ports.kafka, ports.gateway, advertised)


def _format(java: list[str], cluster_id: str, config: Path) -> None:
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(config)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or done.stdout


async def sent_to(port: int) -> list[str]:
    """The addresses of all brokers that a client gets which asks at `port`."""
    client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port}")
    try:
        await client.bootstrap()
        return [f"{broker.host}:{broker.port}" for broker in client.cluster.brokers()]
    finally:
        await client.close()


def test_clients_are_sent_where_they_can_go(broker: Broker) -> None:
    """Who comes over the network of the containers is sent to kafka:9092, who comes from this machine to its published port."""
    assert asyncio.run(sent_to(broker.internal)) == [broker.advertised["INTERNAL"]] == ["kafka:9092"]
    assert asyncio.run(sent_to(broker.host)) == [broker.advertised["HOST"]] == ["127.0.0.1:9092"]


def test_no_topic_comes_into_being_by_itself(services: Services) -> None:
    """A misspelt topic must be an error: one made on the fly would have one partition and lose its records after a week."""
    assert services["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
