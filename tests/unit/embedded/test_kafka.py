from __future__ import annotations

from pathlib import Path

from pipeline.embedded.kafka import properties_text, server_properties


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
