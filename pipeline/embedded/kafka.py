"""One Apache Kafka broker on loopback, KRaft with broker and controller in one JVM, its state in the data directory."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.embedded.java import Java, find_java
from pipeline.embedded.kafka_jars import class_path
from pipeline.embedded.ports import HOST, free_port
from pipeline.runtime.errors import ConfigurationError, Stop, TelemetryError

MIN_FREE_BYTES = 64 << 20
_JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+UseSerialGC",  # with a heap this small its pauses are milliseconds, and it keeps no threads of its own
    # The quick compiler only: a third less CPU to start and half to warm up; both cost 2 us a record from then on.
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)


def server_properties(log_dir: Path, port: int, controller_port: int) -> dict[str, str]:
    """The broker's settings. The controller's port may change from start to start: it is not part of the state."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(log_dir),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "10",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),  # the default takes a quarter of the heap
    }


def properties_text(properties: dict[str, str]) -> str:
    """As a .properties file: backslashes are the format's own escape."""
    return "".join(f"{name}={value}\n".replace("\\", "\\\\") for name, value in properties.items())


def prepare(data_dir: Path, port: int, java: Java, jars: str) -> list[str]:
    """Write the settings, format the storage if it is new, and return the command that runs the broker in the foreground.

    Raises Stop with one line when the disk is full or cannot be written, with the tool's last line when the storage cannot be formatted.
    """
    log_dir, config = data_dir / "log", data_dir / "server.properties"
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(log_dir).free < MIN_FREE_BYTES:
            raise Stop(
                f"less than {MIN_FREE_BYTES >> 20} MiB are free on the disk of {data_dir}, where Kafka keeps its log: free some space"
            )
        config.write_text(properties_text(server_properties(log_dir, port, free_port())), "utf-8")
    except OSError as error:
        raise Stop(f"Kafka's log in {data_dir} cannot be written: {error.strerror}; free some space, or name another place") from error
    if not (log_dir / "meta.properties").exists():
        _format(config, java, jars)
    return [str(java.executable), *_JVM, "-cp", jars, "kafka.Kafka", str(config)]


def _format(config: Path, java: Java, jars: str) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    tool = [str(java.executable), "-Xmx128m", "-cp", jars, "kafka.tools.StorageTool"]
    done = subprocess.run(
        [*tool, "format", f"--cluster-id={cluster_id}", "--config", str(config)],  # one word: one id in 64 begins with a dash
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Stop(f"Kafka's storage in {config.parent} cannot be formatted: {said}")


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the broker: this process is replaced by the JVM, so signals and the exit code are the broker's own."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.embedded.kafka", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where the broker keeps its log")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    try:
        command = prepare(options.data_dir.absolute(), options.port, find_java(), class_path())
    except TelemetryError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(ConfigurationError.exit_code)  # a restart will not help: somebody must act
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
