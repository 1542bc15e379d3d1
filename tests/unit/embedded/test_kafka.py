from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.embedded import kafka
from pipeline.embedded.java import Java
from pipeline.embedded.kafka import properties_text, server_properties
from pipeline.runtime.errors import Stop

NO_JAVA = Java(Path("/nowhere/java"), 17, "PATH")


def test_listens_on_loopback_only() -> None:
    """Neither clients nor the controller are reachable from outside."""
    settings = server_properties(Path("/data/log"), 9092, 9093)
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9093"


def test_one_node_needs_no_replicas() -> None:
    """Topics of Kafka's own must not wait for a second broker."""
    settings = server_properties(Path("/data/log"), 9092, 9093)
    for name in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert settings[f"{name}.replication.factor"] == "1"
    assert settings["auto.create.topics.enable"] == "false"


def test_backslashes_are_escaped() -> None:
    """A .properties file reads a lone backslash as an escape."""
    assert properties_text({"log.dirs": "/a\\b"}) == "log.dirs=/a\\\\b\n"


def test_a_full_disk_is_refused_before_java_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the broker ends with a stack of Java's: what is wrong, where and what to do is said instead, before it begins."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=kafka.MIN_FREE_BYTES - 1))
    with pytest.raises(Stop, match=r"less than 64 MiB are free on the disk of .*, where Kafka keeps its log: free some space"):
        kafka.prepare(tmp_path, 9092, NO_JAVA, "")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file where the log should be: the place and the system's reason, no traceback."""
    (tmp_path / "log").write_text("")
    with pytest.raises(Stop, match=rf"Kafka's log in {tmp_path} cannot be written: File exists"):
        kafka.prepare(tmp_path, 9092, NO_JAVA, "")
